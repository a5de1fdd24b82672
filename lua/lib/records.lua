-- Cuts a text that arrives in pieces into parts that can be rewritten on their own.
-- SPDX-License-Identifier: Apache-2.0

local M = {}

--- Finds the end of the last whole line.
-- @param text string
-- @return number  its position, 0 without one
function M.last_line_end(text)
    local from_end = text:reverse():find("\n", 1, true)
    return from_end and #text - from_end + 1 or 0
end

--- Makes a rewriter of a stream.
-- Each byte is looked at a few times however many pieces come, as long as records are not much
-- larger than pieces.
-- @param cut function  takes a text, returns how many of its bytes are whole records
-- @param rewrite function  takes whole records, returns what stands for them
-- @return function  takes a piece, and true with the last one; returns what is ready
function M.rewriter(cut, rewrite)
    local rest = ""
    return function(piece, last)
        rest = rest .. piece
        local ready = last and #rest or cut(rest)
        if ready == 0 then
            return ""
        end
        local whole = rest:sub(1, ready)
        rest = rest:sub(ready + 1)
        return rewrite(whole)
    end
end

return M
