-- Gives the stats page true names: each proxy has a title table and a table of rows.
-- SPDX-License-Identifier: Apache-2.0

local records = require("lib.records")

local M = {}

local TABLE = '<table class="tbl" width="100%">\n'
local TITLE = TABLE .. '<tr class="titre"><th class="pxname"'
local PAGE_END = "</body>"

-- A table's first line alone does not say whether a new proxy begins: it waits for the next one.
local function whole_lines(text)
    local upto = records.last_line_end(text)
    if text:sub(upto - #TABLE + 1, upto) == TABLE then
        return upto - #TABLE
    end
    return upto
end

-- Anchors, links to them and the title; nothing else in a proxy's tables names it.
local function renamed(text, proxy, name)
    local pattern = proxy:gsub("%p", "%%%0")
    text = text:gsub('(="#?)' .. pattern .. '([/"])', function(before, after)
        return before .. name .. after
    end)
    return (text:gsub(">" .. pattern .. "</a>", function()
        return ">" .. name .. "</a>"
    end))
end

local function without_tables(text)
    local page_end = text:find(PAGE_END, 1, true)
    return page_end and text:sub(page_end) or ""
end

--- Makes a rewriter of one reply.
-- @param names function  a proxy's name to show, or nil for hidden
-- @return function  see `records.rewriter`
function M.rewriter(names)
    local proxy, name -- whose tables go on; nil before the first
    local function part(text)
        if not proxy or name == proxy then
            return text
        end
        return name and renamed(text, proxy, name) or without_tables(text)
    end
    return records.rewriter(whole_lines, function(text)
        local out, from = {}, 1
        local at = text:find(TITLE, 1, true)
        while at do
            out[#out + 1] = part(text:sub(from, at - 1))
            proxy = text:match('<a name="([^"]*)"', at)
            name = proxy and names(proxy)
            from, at = at, text:find(TITLE, at + #TITLE, true)
        end
        out[#out + 1] = part(text:sub(from))
        return table.concat(out)
    end)
end

return M
