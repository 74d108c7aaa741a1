# Read by ctest before it runs anything. allreco_suite_tests(PROGRAM p PREFIX x ALONE regex LIST file [PROPERTIES ...]):
# the tests of a GoogleTest program, one for each suite, because loading libtorch takes longer than most tests. Suites
# that match ALONE have one for each of their tests: they may skip some, and then ctest shows that; elsewhere a skipped
# test is a failure. Suites whose names start with "Mpi" are left out. LIST keeps what the program said that it has.
function(allreco_suite_tests)
  cmake_parse_arguments(ARG "" "PROGRAM;PREFIX;ALONE;LIST" "PROPERTIES" ${ARGN})
  if(NOT EXISTS ${ARG_PROGRAM})
    add_test(${ARG_PREFIX}NOT_BUILT ${ARG_PROGRAM})
    return()
  endif()
  if(NOT EXISTS ${ARG_LIST} OR ${ARG_PROGRAM} IS_NEWER_THAN ${ARG_LIST})
    execute_process(COMMAND ${ARG_PROGRAM} --gtest_list_tests --gtest_filter=-Mpi* TIMEOUT 60
      OUTPUT_VARIABLE text RESULT_VARIABLE result)
    if(NOT result EQUAL 0)
      message(FATAL_ERROR "${ARG_PROGRAM} does not list its tests: ${result}")
    endif()
    string(REGEX REPLACE " +#[^\n]*" "" text "${text}") # values of parameters
    file(WRITE ${ARG_LIST} "${text}")
  endif()

  set(skipped "\\[  SKIPPED \\]")
  file(STRINGS ${ARG_LIST} lines REGEX "^[A-Za-z0-9_/]+\\.$|^  [A-Za-z0-9_/]+$")
  foreach(line IN LISTS lines)
    if(NOT line MATCHES "^ ")
      string(REGEX REPLACE "\\.$" "" suite ${line})
      if(suite MATCHES "${ARG_ALONE}")
        continue()
      endif()
      set(name ${ARG_PREFIX}${suite})
      add_test(${name} ${ARG_PROGRAM} --gtest_filter=${suite}.*)
      set_tests_properties(${name} PROPERTIES FAIL_REGULAR_EXPRESSION ${skipped} ${ARG_PROPERTIES})
    elseif(suite MATCHES "${ARG_ALONE}")
      string(STRIP ${line} test)
      set(name ${ARG_PREFIX}${suite}.${test})
      add_test(${name} ${ARG_PROGRAM} --gtest_filter=${suite}.${test})
      set_tests_properties(${name} PROPERTIES SKIP_REGULAR_EXPRESSION ${skipped} ${ARG_PROPERTIES})
    endif()
  endforeach()
endfunction()
