# Read by CMake at each `project()` of llama.cpp (CMAKE_PROJECT_INCLUDE in .cargo/config.toml).
#
# llama-cpp-sys-2 builds llama.cpp's `common` library by default, and llama-cpp-2 gives no way to ask it not to. It holds
# the command line, downloads and chat parsing of llama.cpp's own programs, and takes longer to compile than the engine.
set(LLAMA_BUILD_COMMON OFF CACHE BOOL "Holdfast does not use it" FORCE)
