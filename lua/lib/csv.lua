-- Gives the stats CSV true names: the first column only, compared whole. The column that HAProxy
-- heads with `-` gets a name: zdd.py of marathon-lb makes Python names of all of them.
-- SPDX-License-Identifier: Apache-2.0

local records = require("lib.records")

local M = {}

--- Makes a rewriter of one reply.
-- @param names function  a proxy's name to show, or nil for hidden
-- @return function  see `records.rewriter`
function M.rewriter(names)
    local function row(proxy, columns)
        if proxy:sub(1, 1) == "#" then
            return proxy .. columns:gsub(",%-,", ",separator,", 1)
        end
        local name = names(proxy)
        return name and name .. columns or ""
    end
    return records.rewriter(records.last_line_end, function(lines)
        return (lines:gsub("([^,\n]+)([^\n]*\n?)", row))
    end)
end

return M
