# What makes a memory error in our own code end the program instead of running on; tests/lint/hardening.py looks for it in
# the program. CONTRIBUTING.md says what it costs.
set(fortify_level 2)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 12)
  set(fortify_level 3)
endif()
# -U: Ubuntu's compiler defines it by itself.
foreach(flag -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=${fortify_level} -D_GLIBCXX_ASSERTIONS)
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:${flag}>)
endforeach()
set(type $<TARGET_PROPERTY:TYPE>)
set(is_shared $<OR:$<STREQUAL:${type},SHARED_LIBRARY>,$<STREQUAL:${type},MODULE_LIBRARY>>)
add_compile_options($<$<AND:$<COMPILE_LANGUAGE:CXX>,$<NOT:${is_shared}>>:-fPIE>)
add_link_options($<$<STREQUAL:${type},EXECUTABLE>:-pie> -Wl,-z,relro,-z,now,-z,noexecstack)
