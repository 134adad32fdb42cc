# The GPU engines: kernels/ and src/engine/{cuda,cudnn}, as modules that the program opens at run time.
#
# SIPGPU_CUDA=AUTO builds what the machine has the toolkit for, ON insists.  Besides the real modules there are
# emulated ones for the tests (tests/emulator): the same sources over a host implementation of the CUDA, cuBLAS and
# cuDNN calls they make, so that all of it runs, also under sanitizers, where there is no GPU.
find_program(SIPGPU_NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATHS /usr/local/cuda/bin)
set(missing)
if(SIPGPU_NVCC)
  set(CMAKE_CUDA_COMPILER ${SIPGPU_NVCC})
  get_filename_component(cuda_root ${SIPGPU_NVCC} REALPATH)
  get_filename_component(cuda_root ${cuda_root}/../.. ABSOLUTE)
  find_path(SIPGPU_CUDNN_INCLUDE cudnn.h HINTS ${cuda_root}/include ENV CUDNN_HOME PATH_SUFFIXES include)
  find_library(SIPGPU_CUDNN cudnn HINTS ${cuda_root}/lib64 ENV CUDNN_HOME PATH_SUFFIXES lib lib64)
  if(NOT SIPGPU_CUDNN_INCLUDE OR NOT SIPGPU_CUDNN)
    set(missing "cuDNN (cudnn.h, libcudnn.so)")
  endif()
else()
  set(missing "the CUDA toolkit (nvcc)")
endif()
if(missing)
  if(SIPGPU_CUDA STREQUAL "ON")
    message(FATAL_ERROR "SIPGPU_CUDA=ON, but ${missing} was not found")
  endif()
  message(STATUS "GPU engines: not built, ${missing} was not found")
  return()
endif()

# Turing, Ampere and Hopper as machine code (what is for sm_80 runs on sm_86 and sm_89, too), and PTX for what comes
# after.
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 75-real 80-real 90a-real 90-virtual)
endif()
set(CMAKE_CUDA_STANDARD 17)
set(CMAKE_CXX_STANDARD 17)
enable_language(CXX)
enable_language(CUDA)
find_package(CUDAToolkit REQUIRED)
set(SIPGPU_HAVE_CUDA ON)
message(STATUS "GPU engines: CUDA ${CUDAToolkit_VERSION}, cuDNN ${SIPGPU_CUDNN}")

set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_CUDA_VISIBILITY_PRESET hidden)
file(GLOB kernel_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/*.cu)
file(GLOB cuda_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/engine/cuda/*.c)
file(GLOB cudnn_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/engine/cudnn/*.c)
# What the device layer shares between both engines; the rest of src/engine/cuda is the trie engine.
set(device_sources ${cuda_sources})
list(FILTER device_sources INCLUDE REGEX "/device[^/]*\\.c$")
list(FILTER cuda_sources EXCLUDE REGEX "/device[^/]*\\.c$")
# A module has its own copy of the few parts of the host that it needs.
set(host_sources src/base/status.c src/base/memory.c src/base/log.c src/model/layout.c)

# sipgpu_gpu_module(target name kernels sources... ): sipgpu_<name>.so from the sources and a kernel library.
function(sipgpu_gpu_module target name kernels)
  add_library(${target} MODULE ${ARGN} ${host_sources})
  set_target_properties(${target} PROPERTIES PREFIX "" OUTPUT_NAME sipgpu_${name})
  target_link_libraries(${target} PRIVATE sipgpu_options ${kernels} m)
  target_link_options(${target} PRIVATE -Wl,--exclude-libs,ALL -Wl,--no-undefined)
  target_include_directories(${target} SYSTEM PRIVATE ${CUDAToolkit_INCLUDE_DIRS} ${SIPGPU_CUDNN_INCLUDE})
endfunction()

# ---- the real ones; a sanitizer build tests the emulated ones only ----

if(NOT SIPGPU_SANITIZE)
  add_library(sipgpu_kernels STATIC ${kernel_sources})
  target_include_directories(sipgpu_kernels PRIVATE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/src)
  target_compile_options(sipgpu_kernels PRIVATE -Xcompiler=-Wall,-Wextra -lineinfo
                         $<$<BOOL:${SIPGPU_WERROR}>:-Werror=all-warnings>)
  target_link_libraries(sipgpu_kernels PUBLIC CUDA::cudart_static)
  sipgpu_gpu_module(sipgpu_cuda cuda sipgpu_kernels ${device_sources} ${cuda_sources})
  target_link_libraries(sipgpu_cuda PRIVATE CUDA::cublas)
  sipgpu_gpu_module(sipgpu_cudnn cudnn sipgpu_kernels ${device_sources} ${cudnn_sources})
  target_link_libraries(sipgpu_cudnn PRIVATE CUDA::cublas ${SIPGPU_CUDNN})
  install(TARGETS sipgpu_cuda sipgpu_cudnn LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/sipgpu)
endif()

# ---- the emulated ones ----

if(SIPGPU_TESTS)
  set(emulated_kernels)
  foreach(source IN LISTS kernel_sources)
    get_filename_component(stem ${source} NAME_WE)
    set(wrapper ${PROJECT_BINARY_DIR}/emulated/${stem}.cpp)
    file(CONFIGURE OUTPUT ${wrapper} CONTENT "#include \"kernels/${stem}.cu\"\n")
    list(APPEND emulated_kernels ${wrapper})
  endforeach()
  file(GLOB emulator_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/emulator/*.c
       ${PROJECT_SOURCE_DIR}/tests/emulator/*.cpp)
  add_library(cuda_emulator STATIC ${emulator_sources})
  target_include_directories(cuda_emulator SYSTEM PRIVATE ${CUDAToolkit_INCLUDE_DIRS} ${SIPGPU_CUDNN_INCLUDE})
  target_include_directories(cuda_emulator PUBLIC ${PROJECT_SOURCE_DIR}/tests ${PROJECT_SOURCE_DIR}
                             ${PROJECT_SOURCE_DIR}/src)
  target_compile_options(cuda_emulator PRIVATE -Wall -Wextra $<$<BOOL:${SIPGPU_WERROR}>:-Werror>)
  add_library(sipgpu_kernels_emulated STATIC ${emulated_kernels})
  target_compile_definitions(sipgpu_kernels_emulated PRIVATE SG_EMULATED)
  target_compile_options(sipgpu_kernels_emulated PRIVATE -Wall -Wextra -fno-math-errno
                         $<$<BOOL:${SIPGPU_WERROR}>:-Werror>)
  target_link_libraries(sipgpu_kernels_emulated PUBLIC cuda_emulator)
  if(SIPGPU_SANITIZE)
    foreach(target cuda_emulator sipgpu_kernels_emulated)
      # Optimised: every thread of a kernel is a fiber here, and instrumented code is slow enough.
      target_compile_options(${target} PRIVATE -fsanitize=address,undefined -fno-sanitize-recover=all -g -O2)
    endforeach()
  endif()
  sipgpu_gpu_module(sipgpu_cuda_emulated cuda sipgpu_kernels_emulated ${device_sources} ${cuda_sources})
  sipgpu_gpu_module(sipgpu_cudnn_emulated cudnn sipgpu_kernels_emulated ${device_sources} ${cudnn_sources})
  set_target_properties(sipgpu_cuda_emulated sipgpu_cudnn_emulated PROPERTIES
                        LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/emulated LINKER_LANGUAGE CXX)
endif()
