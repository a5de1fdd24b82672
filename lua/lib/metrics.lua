-- Gives Prometheus samples true names; what has no `proxy` label stays as it is.
-- SPDX-License-Identifier: Apache-2.0

local records = require("lib.records")

local M = {}

local HASH = ("#"):byte()

--- Makes a rewriter of one reply.
-- @param names function  a proxy's name to show, or nil for hidden
-- @return function  see `records.rewriter`
function M.rewriter(names)
    local function sample(line)
        if line:byte() == HASH then
            return nil
        end
        local from, proxy, to = line:match('[{,]proxy="()([^"]*)()"')
        if not from then
            return nil
        end
        local name = names(proxy)
        if name == proxy then
            return nil
        end
        return name and line:sub(1, from - 1) .. name .. line:sub(to) or ""
    end
    return records.rewriter(records.last_line_end, function(lines)
        return (lines:gsub("[^\n]+\n?", sample))
    end)
end

return M
