# Folders with loops of their own that somebody waits for: -O3. The others call these, ATen and the kernels (cpu_ops in src/model, which
# has -O3, too), and print: -O1 compiles them in two thirds of the time. (False alarms of GCC's at -O1; whoever looks for true ones
# compiles with -O3.)
set(ALLRECO_COMPUTING core data eval audit)
set(ALLRECO_O1 $<$<AND:$<CONFIG:Release>,$<COMPILE_LANGUAGE:CXX>>:-O1>)

# allreco_library(<folder> DEPENDS ... [EXCLUDE regex]): the static library of src/<folder>, from all .cpp files in it,
# and from all .cu files where the build has CUDA.
# DEPENDS are the arrows of docs/architecture.md. EXCLUDE leaves out the backend that this build does not choose.
function(allreco_library folder)
  cmake_parse_arguments(ARG "" "EXCLUDE" "DEPENDS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  if(WITH_CUDA)
    file(GLOB_RECURSE kernels CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cu)
    list(APPEND sources ${kernels})
  endif()
  if(ARG_EXCLUDE)
    list(FILTER sources EXCLUDE REGEX ${ARG_EXCLUDE})
  endif()
  add_library(allreco_${folder} STATIC ${sources})
  target_include_directories(allreco_${folder} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(allreco_${folder} PUBLIC ${ARG_DEPENDS} PRIVATE allreco_warnings)
  target_compile_definitions(allreco_${folder} PRIVATE ALLRECO_VERSION="${PROJECT_VERSION}")
  set(torch "")
  if(NOT folder IN_LIST ALLRECO_COMPUTING)
    set(torch TORCH)
    target_compile_options(allreco_${folder} PRIVATE ${ALLRECO_O1}
      $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-maybe-uninitialized>)
  endif()
  if(ALLRECO_UNITY) # sources with flags of their own stay alone
    set_target_properties(allreco_${folder} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 32)
    # To GCC only the file that it was given is sure to be compiled once.
    target_compile_options(allreco_${folder} PRIVATE $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-subobject-linkage>)
  endif()
  if(ALLRECO_PRECOMPILE)
    allreco_precompile(allreco_${folder} ${torch})
  endif()
endfunction()

# allreco_precompile(<target> [TORCH] [TEST]): what nearly every file includes, compiled once for all targets of a kind. It hides what a
# file forgot to include, so the preset `cuda`, which continuous integration builds too, does without for src/.
# TORCH: also ATen's tensor, for what is compiled with -O1. To GCC 12 the level of optimisation of a precompiled header that holds
# ATen's intrinsics is that of all who use it, whatever their own flags say: one header, one level.
# Tests are compiled with -O1: they wait for the program and for libraries, not for their own loops.
function(allreco_precompile target)
  cmake_parse_arguments(ARG "TORCH;TEST" "" "" ${ARGN})
  set(headers <fmt/format.h> <nlohmann/json.hpp> <filesystem> <string> <vector>)
  set(owner allreco_pch)
  set(options "")
  if(ARG_TORCH)
    list(APPEND headers <ATen/core/Tensor.h>)
    string(APPEND owner _torch)
    set(options ${ALLRECO_O1})
  endif()
  if(ARG_TEST)
    list(PREPEND headers <gtest/gtest.h>)
    string(APPEND owner _test)
    set(options ${ALLRECO_O1})
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
      # It sees overlaps and overruns inside std::string where there are none (GCC bug 105651).
      list(APPEND options -Wno-restrict -Wno-array-bounds -Wno-stringop-overflow -Wno-stringop-overread)
    endif()
  endif()
  target_compile_options(${target} PRIVATE ${options})
  if(NOT TARGET ${owner})
    file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/${owner}.cpp CONTENT "")
    add_library(${owner} OBJECT ${PROJECT_BINARY_DIR}/${owner}.cpp)
    target_link_libraries(${owner} PRIVATE allreco_warnings nlohmann_json::nlohmann_json fmt::fmt
      $<$<BOOL:${ARG_TORCH}>:torch_wheel> $<$<BOOL:${ARG_TEST}>:GTest::gtest>)
    target_compile_options(${owner} PRIVATE ${options})
    target_precompile_headers(${owner} PRIVATE ${headers})
  endif()
  target_precompile_headers(${target} REUSE_FROM ${owner})
endfunction()

# allreco_test(<folder> DEPENDS ... [PROGRAM] [ALONE regex]): one GoogleTest program from all .cpp files in tests/<folder>; ctest runs
# each of its suites, and of the suites that match ALONE each test, in a process of its own. PROGRAM: they run the program, which is
# built first. Tests whose suite name starts with "Mpi" run under mpirun instead, see allreco_mpi_test.
function(allreco_test folder)
  cmake_parse_arguments(ARG "PROGRAM" "ALONE" "DEPENDS" ${ARGN})
  set(fixture "")
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  add_executable(test_${folder} ${sources})
  target_include_directories(test_${folder} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_compile_definitions(test_${folder} PRIVATE ALLRECO_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  if(ARG_PROGRAM)
    target_compile_definitions(test_${folder} PRIVATE ALLRECO_BINARY="$<TARGET_FILE:allreco>")
    add_dependencies(test_${folder} allreco)
    set(fixture "FIXTURES_REQUIRED programs_under_test")  # tests/CMakeLists.txt
  endif()
  target_link_libraries(test_${folder} PRIVATE ${ARG_DEPENDS} allreco_warnings GTest::gtest_main)
  if(folder MATCHES "^(core|data)$")
    allreco_precompile(test_${folder} TEST)
  else()
    allreco_precompile(test_${folder} TEST TORCH)
  endif()
  set(alone "^$")
  if(ARG_ALONE)
    set(alone ${ARG_ALONE})
  endif()
  set(file_base ${CMAKE_CURRENT_BINARY_DIR}/test_${folder})
  file(GENERATE OUTPUT ${file_base}_suites.cmake CONTENT
    "include([==[${PROJECT_SOURCE_DIR}/cmake/SuiteTests.cmake]==])
allreco_suite_tests(PROGRAM [==[$<TARGET_FILE:test_${folder}>]==] PREFIX ${folder}. ALONE [==[${alone}]==]
  LIST [==[${file_base}_suites.txt]==] PROPERTIES TIMEOUT 900 ${fixture})
")
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${file_base}_suites.cmake)
endfunction()

# allreco_mpi_test(<folder> <ranks> <filter>): runs the tests of test_<folder> that match <filter> on that many ranks.
function(allreco_mpi_test folder ranks filter)
  string(MAKE_C_IDENTIFIER "${filter}" id)
  set(name ${folder}.mpi${ranks}.${id})
  add_test(NAME ${name}
    COMMAND ${MPIEXEC_EXECUTABLE} --oversubscribe --bind-to none -n ${ranks} $<TARGET_FILE:test_${folder}> --gtest_filter=${filter})
  set_tests_properties(${name} PROPERTIES PROCESSORS ${ranks} TIMEOUT 300
    ENVIRONMENT "${ALLRECO_MPI_TEST_ENVIRONMENT}")
endfunction()
