-- Reads process ids out of what HAProxy says about its processes.
-- SPDX-License-Identifier: Apache-2.0

local M = {}

--- Reads the lines of the master's `show proc`.
-- @param reply string  the reply up to its empty line
-- @return table  pids as strings: the master's, then the workers', old ones last; other programs
--   that the master keeps are left out
function M.pids(reply)
    local found = {}
    for line in reply:gmatch("[^\n]+") do
        local pid, kind = line:match("^(%d+)%s+(%a+)")
        if kind == "master" or kind == "worker" then
            found[#found + 1] = pid
        end
    end
    return found
end

--- Reads the worker's own `show info`.
-- @param reply string  `Name: value` lines
-- @return table  its pid alone, or nothing
function M.own_pid(reply)
    return { reply:match("\nPid: (%d+)") }
end

return M
