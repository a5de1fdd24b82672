-- Writes the map endpoints' `key value` lines, with backends under their true names.
-- SPDX-License-Identifier: Apache-2.0

local M = {}

local function sorted_lines(values)
    local lines = {}
    for key, value in pairs(values) do
        lines[#lines + 1] = key .. " " .. value .. "\n"
    end
    table.sort(lines)
    return table.concat(lines)
end

--- Lists a map whose values are backends.
-- @param entries table  {key, backend} pairs; as in HAProxy's lookup, the first of equal keys
--   counts
-- @param names function  a backend's name to show, or nil for hidden
-- @return string  sorted `key name` lines
function M.plain(entries, names)
    local seen, values = {}, {}
    for _, entry in ipairs(entries) do
        local key, backend = entry[1], entry[2]
        if not seen[key] then
            seen[key] = true
            values[key] = names(backend)
        end
    end
    return sorted_lines(values)
end

--- Lists path rules, whose values are `<rank> <backend>`.
-- @param maps table  lists of {host/path, value} pairs; where a key is in several, as in routing,
--   the smallest rank counts
-- @param names function  a backend's name to show, or nil for hidden
-- @return string  sorted `host/path name` lines
function M.ranked(maps, names)
    local ranks, values = {}, {}
    for _, entries in ipairs(maps) do
        for _, entry in ipairs(entries) do
            local key = entry[1]
            local rank, backend = entry[2]:match("^(%d+) (%S+)")
            if rank and (not ranks[key] or tonumber(rank) < ranks[key]) then
                ranks[key] = tonumber(rank)
                values[key] = names(backend)
            end
        end
    end
    return sorted_lines(values)
end

return M
