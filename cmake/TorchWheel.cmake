# torch_wheel: libtorch as the PyPI wheel ships it, without TorchConfig.cmake (which needs a CUDA toolkit even for CPU work).
# Give -DPython3_EXECUTABLE=<venv>/bin/python; launch/build.sh does.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
execute_process(
  COMMAND ${Python3_EXECUTABLE} -c "import importlib.util as u, os; print(os.path.dirname(u.find_spec('torch').origin))"
  OUTPUT_VARIABLE TORCH_ROOT OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
cmake_path(GET TORCH_ROOT PARENT_PATH TORCH_SITE)
set(TORCH_CUDA_ROOT ${TORCH_SITE}/nvidia/cu13)

# The wheel carries headers of fmt 12; spdlog wants the system's fmt. A directory that holds only the system's comes first.
find_path(SYSTEM_FMT fmt/core.h REQUIRED)
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/fmt_first)
file(CREATE_LINK ${SYSTEM_FMT}/fmt ${CMAKE_BINARY_DIR}/fmt_first/fmt SYMBOLIC)

add_library(torch_wheel INTERFACE)
target_compile_definitions(torch_wheel INTERFACE AT_PER_OPERATOR_HEADERS)
target_include_directories(torch_wheel SYSTEM INTERFACE
  ${CMAKE_BINARY_DIR}/fmt_first ${TORCH_ROOT}/include ${TORCH_ROOT}/include/torch/csrc/api/include)
# libtorch.so itself is left out: it needs libtorch_cuda and 2 GB of CUDA libraries.
target_link_libraries(torch_wheel INTERFACE ${TORCH_ROOT}/lib/libtorch_cpu.so ${TORCH_ROOT}/lib/libc10.so)
target_link_options(torch_wheel INTERFACE -Wl,--allow-shlib-undefined)
list(APPEND CMAKE_BUILD_RPATH ${TORCH_ROOT}/lib) # by CMake, so that an installed program has its own (Install.cmake)

if(WITH_CUDA)
  set(TORCH_NCCL ${TORCH_SITE}/nvidia/nccl/lib/libnccl.so.2)
  if(NOT EXISTS ${TORCH_NCCL})
    message(FATAL_ERROR "The CUDA libraries of the torch wheel are missing (${TORCH_NCCL}): run launch/setup.sh --cuda")
  endif()
  target_include_directories(torch_wheel SYSTEM INTERFACE ${TORCH_CUDA_ROOT}/include ${TORCH_SITE}/nvidia/nccl/include)
  target_link_libraries(torch_wheel INTERFACE
    -Wl,--push-state,--no-as-needed ${TORCH_ROOT}/lib/libtorch_cuda.so ${TORCH_ROOT}/lib/libc10_cuda.so -Wl,--pop-state
    ${TORCH_NCCL} ${TORCH_CUDA_ROOT}/lib/libcudart.so.13)
  list(APPEND CMAKE_BUILD_RPATH ${TORCH_SITE}/nvidia/nccl/lib ${TORCH_CUDA_ROOT}/lib)
endif()
