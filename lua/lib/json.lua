-- Gives the stats JSON true names: an array of rows, each an array of fields, `pxname` the first.
-- SPDX-License-Identifier: Apache-2.0

local records = require("lib.records")

local M = {}

-- Inside a JSON string a quote is escaped, so this text can only be a row's beginning.
local ROW = '[{"objType":'
local PROXY = '"name":"pxname"}.-"value":"()([^"]*)()"'

-- Forwards, because rows are long: a pattern that goes back from the end takes ten times longer.
local function whole_rows(text)
    local last, at = 0, 0
    while at do
        last, at = at, text:find(ROW, at + 1, true)
    end
    return math.max(last - 1, 0)
end

local function renamed(row, names)
    local from, proxy, to = row:match(PROXY)
    if not from then
        return row
    end
    local name = names(proxy)
    return name and row:sub(1, from - 1) .. name .. row:sub(to)
end

--- Makes a rewriter of one reply.
-- @param names function  a proxy's name to show, or nil for hidden
-- @return function  see `records.rewriter`
function M.rewriter(names)
    local any = false -- commas stand between rows that stay, wherever others went
    local function one(text)
        local row, tail = text:match("^(.*}%])(.*)$")
        if not row then
            return text
        end
        local shown = renamed(row, names)
        local comma = shown and any and "," or ""
        any = any or shown ~= nil
        return comma .. (shown or "") .. tail:gsub("^%s*,%s*", "")
    end
    return records.rewriter(whole_rows, function(text)
        local at = text:find(ROW, 1, true)
        local out = { text:sub(1, (at or #text + 1) - 1) }
        while at do
            local following = text:find(ROW, at + 1, true)
            out[#out + 1] = one(text:sub(at, (following or #text + 1) - 1))
            at = following
        end
        return table.concat(out)
    end)
end

return M
