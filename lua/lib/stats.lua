-- Chooses the rewriter of a stats reply by what HAProxy sent.
-- SPDX-License-Identifier: Apache-2.0

local csv = require("lib.csv")
local html = require("lib.html")
local json = require("lib.json")
local typed = require("lib.typed")

local M = {}

--- Makes a rewriter of one reply.
-- @param names function  a proxy's name to show, or nil for hidden
-- @param content_type string  the reply's type
-- @param query string  what was asked for: CSV and typed have one content type
-- @return function  see `records.rewriter`
function M.rewriter(names, content_type, query)
    if content_type:find("json", 1, true) then
        return json.rewriter(names)
    end
    if content_type:find("html", 1, true) then
        return html.rewriter(names)
    end
    local form = query:find(";typed", 1, true) and typed or csv
    return form.rewriter(names)
end

return M
