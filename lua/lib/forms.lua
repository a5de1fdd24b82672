-- Tells which form of a page a client likes best, by its Accept header, as the agent does.
-- SPDX-License-Identifier: Apache-2.0

local M = {}

local MOST_TYPES = 20
local EARLIER_IS_BETTER = 1e-6
local FORMS = {
    ["text/html"] = "html",
    ["application/xhtml+xml"] = "html",
    ["application/json"] = "json",
    ["application/problem+json"] = "json",
    ["text/plain"] = "text",
}

local function quality(parameters)
    for parameter in parameters:gmatch("[^;]+") do
        local name, value = (parameter .. "="):match("^%s*([^=]-)%s*=%s*(.-)%s*=*$")
        if name == "q" then
            return value:match("^[%d.]+$") and tonumber(value) or 0
        end
    end
    return 1
end

--- Reads an Accept header.
-- @param accept string
-- @return string  `html`, `json` or `text`; text where it says nothing
function M.form_for(accept)
    local best, form, position = 0, "text", 0
    for item in accept:lower():gmatch("[^,]+") do
        local kind, parameters = item:match("^%s*([^%s;]*)(.*)$")
        local liked = quality(parameters) - position * EARLIER_IS_BETTER
        if FORMS[kind] and liked > best then
            best, form = liked, FORMS[kind]
        end
        position = position + 1
        if position == MOST_TYPES then
            break
        end
    end
    return form
end

return M
