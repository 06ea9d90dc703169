# What every target here shares, and the two ways to declare one: tfs_library, tfs_test.

get_filename_component(TFLITE_SERVING_ROOT ${CMAKE_CURRENT_LIST_DIR} DIRECTORY)
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
# bin/ and lib/ beside it can be copied anywhere together (litert.cmake fills lib/).
set(CMAKE_BUILD_WITH_INSTALL_RPATH ON)
set(CMAKE_INSTALL_RPATH "$ORIGIN/../lib")

# Set by the presets asan and tsan.
set(TFLITE_SERVING_SANITIZER "" CACHE STRING "address, thread, or empty")
option(TFLITE_SERVING_FUZZ "Build the fuzz targets with libFuzzer instead of the corpus replay" OFF)

add_library(tfs_flags INTERFACE)
target_compile_options(tfs_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor -Wno-missing-field-initializers -Werror
  $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety>)
target_include_directories(tfs_flags INTERFACE ${TFLITE_SERVING_ROOT}/src ${TFLITE_SERVING_ROOT}/include)
if(TFLITE_SERVING_SANITIZER STREQUAL "address")
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
  add_compile_definitions(TFLS_ADDRESS_SANITIZER)
elseif(TFLITE_SERVING_SANITIZER STREQUAL "thread")
  add_compile_options(-fsanitize=thread -fno-omit-frame-pointer)
  add_link_options(-fsanitize=thread)
  add_compile_definitions(TFLS_THREAD_SANITIZER)
else()
  add_compile_options(-fstack-protector-strong)
  add_compile_definitions($<$<CONFIG:Release>:_FORTIFY_SOURCE=2>)
  add_link_options(-Wl,-z,relro,-z,now)
endif()
if(CMAKE_SYSTEM_PROCESSOR STREQUAL "aarch64")
  add_compile_options(-fsigned-char)  # as on x86-64: the same code means the same
endif()
if(TFLITE_SERVING_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

if(NOT CMAKE_CROSSCOMPILING)
  find_package(GTest REQUIRED)
  include(GoogleTest)
endif()

# tfs_library(NAME SOURCES a.cc … DEPS base tensor … PRIVATE_DEPS …): the library of one folder. Its DEPS are the layering rule;
# PRIVATE_DEPS are third-party libraries that no header of the folder includes.
function(tfs_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC ${ARG_DEPS} PRIVATE tfs_flags ${ARG_PRIVATE_DEPS})
  target_include_directories(${name} PUBLIC ${TFLITE_SERVING_ROOT}/src)
endfunction()

# tfs_test(NAME SOURCES x_test.cc … DEPS …): one test program, each of its tests a test of ctest. More than half of a build's time would go
# into optimising tests and into reading GoogleTest's headers, so tests are compiled as they are, with one precompiled header for all of them.
# What is compiled for another machine has no tests, since they could not run.
function(tfs_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  if(CMAKE_CROSSCOMPILING)
    set_target_properties(${name} PROPERTIES EXCLUDE_FROM_ALL ON)
    return()
  endif()
  target_compile_options(${name} PRIVATE -O0 -pthread)
  get_property(owner GLOBAL PROPERTY TFS_TEST_HEADERS)
  if(owner)
    target_precompile_headers(${name} REUSE_FROM ${owner})
  else()
    target_precompile_headers(${name} PRIVATE <gmock/gmock.h> <gtest/gtest.h> <filesystem> <fstream> <functional> <future> <span> <thread>)
    set_property(GLOBAL PROPERTY TFS_TEST_HEADERS ${name})
  endif()
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} tfs_flags GTest::gmock GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE TEST_MODELS_DIR="${TFLITE_SERVING_ROOT}/tests/models")
  gtest_discover_tests(${name} TEST_PREFIX ${name}. NO_PRETTY_VALUES DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 300)
endfunction()

# tfs_plugin(NAME SOURCE [DEFINITIONS…]): a shared library of include/tflite_serving_plugin.h, of C or C++, in plugins/ of the build.
function(tfs_plugin name source)
  add_library(${name} MODULE ${source})
  if(source MATCHES "\\.c$")
    target_compile_options(${name} PRIVATE -Wall -Wextra -Wpedantic -Werror)
    target_include_directories(${name} PRIVATE ${TFLITE_SERVING_ROOT}/include)
    set_target_properties(${name} PROPERTIES C_STANDARD 11)
  else()
    target_link_libraries(${name} PRIVATE tfs_flags)
  endif()
  target_compile_definitions(${name} PRIVATE ${ARGN})
  set_target_properties(${name} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/plugins)
endfunction()
