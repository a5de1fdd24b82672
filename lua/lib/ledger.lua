-- Reads `show map` replies and the ledger: under which name a person sees a HAProxy backend.
-- SPDX-License-Identifier: Apache-2.0

local M = {}

-- What serves these endpoints, or asks the sidecar, is nobody's app.
local INTERNAL = "mlb_internal"
local OWN = "^mlb:"

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

--- Reads a map's file.
-- @param text string  lines `<key> <value>`
-- @return table  a list of {key, value}
function M.written(text)
    local found = {}
    for key, value in text:gmatch("(%S+) ([^\n]*)\n") do
        found[#found + 1] = { key, value }
    end
    return found
end

--- Makes the function that names a backend.
-- A backend whose entry has no true name or no app is free, and hidden. A spare without an entry is
-- hidden too, because nobody can own it; anything else without an entry is part of the skeleton.
-- @param lookup function  takes a backend, returns its entry in the ledger map, or nil:
--   `<true name> <app ids> <service port> <archetype>`
-- @return function  takes a proxy's name in HAProxy, returns the name to show, or nil for hidden
function M.names(lookup)
    return function(proxy)
        if proxy == INTERNAL or proxy:find(OWN) then
            return nil
        end
        local value = lookup(proxy)
        if not value then
            return proxy:sub(1, 6) ~= "spare." and proxy or nil
        end
        local name, app = value:match("^(%S+) (%S+)")
        return name and name ~= "-" and app ~= "-" and name or nil
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
