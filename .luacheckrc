-- The Lua that runs inside HAProxy; nothing but HAProxy's own `core` may be global.
std = "lua53"
include_files = { "lua/**/*.lua" }
max_line_length = 100
read_globals = { "core", "Map" }
files["lua/lib/**"] = { read_globals = {} }
files["lua/lib/sockets.lua"] = { read_globals = { "core" } }
