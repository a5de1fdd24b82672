-- Gives the typed stats true names: a row is the lines that share object, proxy and server id.
-- SPDX-License-Identifier: Apache-2.0

local records = require("lib.records")

local M = {}

--- Makes a rewriter of one reply.
-- @param names function  a proxy's name to show, or nil for hidden
-- @return function  see `records.rewriter`
function M.rewriter(names)
    local hidden -- a row's first line has its proxy's name and decides for the lines that follow
    local function line(row, rest)
        local column, proxy, ending = rest:match("^(0%.pxname%.[^:]*:[^:]*:str:)([^\n]*)(\n?)$")
        if not column then
            return row == hidden and "" or nil
        end
        local name = names(proxy)
        hidden = not name and row or nil
        return name and row .. "." .. column .. name .. ending or ""
    end
    return records.rewriter(records.last_line_end, function(lines)
        return (lines:gsub("(%a%.%d+%.%d+)%.([^\n]*\n?)", line))
    end)
end

return M
