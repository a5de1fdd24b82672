-- Reads `show map` replies and the ledger: under which name a person sees a HAProxy backend.
-- SPDX-License-Identifier: Apache-2.0

local M = {}

-- What serves these endpoints is nobody's app.
local INTERNAL = "mlb_internal"

--- Reads the reply to `show map`.
-- @param reply string  lines `<pointer> <key> <value>`, ended by an empty line
-- @return table  a list of {key, value} in the map's order; or nil and HAProxy's refusal
function M.entries(reply)
    local found = {}
    for line in reply:gmatch("[^\n]+") do
        local key, value = line:match("^0x%x+ (%S+) ?(.*)$")
        if not key then
            return nil, line
        end
        found[#found + 1] = { key, value }
    end
    return found
end

--- Makes the function that names a backend.
-- A backend whose entry has no true name or no app is free, and hidden. A spare without an entry is
-- hidden too, because nobody can own it; anything else without an entry is part of the skeleton.
-- @param entries table  the ledger map's entries: `<true name> <app id> <service port> <archetype>`
-- @return function  takes a proxy's name in HAProxy, returns the name to show, or nil for hidden
function M.names(entries)
    local shown, free = {}, { [INTERNAL] = true }
    for _, entry in ipairs(entries) do
        local backend, value = entry[1], entry[2]
        local name, app = value:match("^(%S+) (%S+)")
        local owned = name and name ~= "-" and app ~= "-"
        local known = shown[backend] or free[backend] -- the first counts, as in HAProxy's lookup
        if owned and not known then
            shown[backend] = name
        elseif not known then
            free[backend] = true
        end
    end
    return function(proxy)
        if shown[proxy] then
            return shown[proxy]
        end
        if free[proxy] or proxy:sub(1, 6) == "spare." then
            return nil
        end
        return proxy
    end
end

--- Takes `scope=` out of a stats query, because HAProxy would compare it with its own names.
-- @param query string  the query of a stats request, such as `stats;csv;scope=web`
-- @param names function  see `names`
-- @return string, function  the query without it; `names` that hides all that is out of scope
function M.scoped(query, names)
    local scope = query:match("[;&?]scope=([%w_.:-]+)")
    local rest = query:gsub("[;&?]scope=[^;&]*", "")
    if not scope then
        return rest, names
    end
    return rest, function(proxy)
        local name = names(proxy)
        return name and name:find(scope, 1, true) and name or nil
    end
end

return M
