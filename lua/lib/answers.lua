-- Writes the endpoints' replies.
-- SPDX-License-Identifier: Apache-2.0

local M = {}

local PLAIN = "text/plain"

local function start(applet, status, length)
    applet:set_status(status)
    applet:add_header("Content-Length", tostring(length))
    applet:add_header("Cache-Control", "no-cache")
end

--- Replies with a text that is at hand in pieces.
-- @param applet AppletHTTP
-- @param pieces table  strings
-- @param headers table  name to value, for further headers
function M.pieces(applet, pieces, headers)
    local length = 0
    for _, piece in ipairs(pieces) do
        length = length + #piece
    end
    start(applet, 200, length)
    for name, value in pairs(headers) do
        applet:add_header(name, value)
    end
    applet:start_response()
    if applet.method == "HEAD" then
        return
    end
    for _, piece in ipairs(pieces) do
        applet:send(piece)
    end
end

--- Replies with a plain text.
-- @param applet AppletHTTP
-- @param text string
function M.text(applet, text)
    M.pieces(applet, { text }, { ["Content-Type"] = PLAIN })
end

--- Replies that it cannot be done.
-- @param applet AppletHTTP
-- @param status number
-- @param sentence string  why, for a person
-- @param allowed string  with 405, the methods that do
function M.failure(applet, status, sentence, allowed)
    local text = sentence .. "\n"
    start(applet, status, #text)
    applet:add_header("Content-Type", PLAIN)
    if allowed then
        applet:add_header("Allow", allowed)
    end
    applet:start_response()
    if applet.method ~= "HEAD" then
        applet:send(text)
    end
end

return M
