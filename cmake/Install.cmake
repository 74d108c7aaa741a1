# cmake --install build/<preset> --prefix PREFIX: a tree that runs wherever it is moved to, without this repository, its
# build folder and its .venv. The system's libraries (setup.sh's list, without the -dev packages) stay the system's.
#
#   bin/                 allreco, allreco-program
#   lib/allreco/         libtorch and what it loads, laid out as in the wheel: its libraries find one another by that
#   share/allreco/       launch, configs, examples, docs; build/<preset>/allreco leads to bin, so that the scripts work
#   share/doc/allreco/   licences
set(libraries lib/allreco)
set_target_properties(allreco_program PROPERTIES
  INSTALL_RPATH "$ORIGIN/../${libraries}/torch/lib;$ORIGIN/../${libraries}/nvidia/nccl/lib;$ORIGIN/../${libraries}/nvidia/cu13/lib")
install(TARGETS allreco allreco_program RUNTIME DESTINATION bin)

if(WITH_CUDA)
  install(DIRECTORY ${TORCH_ROOT}/lib DESTINATION ${libraries}/torch FILES_MATCHING PATTERN "*.so*" PATTERN "libtorch_python*" EXCLUDE)
  install(DIRECTORY ${TORCH_SITE}/nvidia DESTINATION ${libraries} FILES_MATCHING REGEX "/lib/[^/]*[.]so[^/]*$")
else()
  install(FILES ${TORCH_ROOT}/lib/libtorch_cpu.so ${TORCH_ROOT}/lib/libc10.so ${TORCH_ROOT}/lib/libgomp.so.1
    DESTINATION ${libraries}/torch/lib)
  install(FILES ${TORCH_CUDA_ROOT}/lib/libcudart.so.13 ${TORCH_CUDA_ROOT}/lib/libcupti.so.13
    DESTINATION ${libraries}/nvidia/cu13/lib) # libtorch_cpu.so wants them to be there, also on a machine without a GPU
endif()

install(DIRECTORY launch configs examples docs DESTINATION share/allreco USE_SOURCE_PERMISSIONS PATTERN "__pycache__" EXCLUDE)
install(FILES README.md CHANGELOG.md SECURITY.md DESTINATION share/allreco)
install(FILES LICENSE NOTICE DESTINATION share/doc/allreco)
file(GLOB torch_licences ${TORCH_SITE}/torch-*.dist-info/licenses/*)
install(FILES ${torch_licences} DESTINATION share/doc/allreco/libtorch)
cmake_path(GET PROJECT_BINARY_DIR FILENAME preset)
foreach(name ${preset} release)
  install(CODE "
    set(directory \$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/share/allreco/build/${name})
    file(MAKE_DIRECTORY \${directory})
    file(CREATE_LINK ../../../../bin/allreco \${directory}/allreco SYMBOLIC)")
endforeach()
