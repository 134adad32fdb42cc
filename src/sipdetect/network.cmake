# The network of the detector library: sd_network_sources(<target>) adds its sources, each with the options of
# its instruction set, to a target of the calling directory.  Needs src/ among the include directories.
set(SD_NETWORK_FOLDER ${CMAKE_CURRENT_LIST_DIR})

function(sd_network_sources target)
  # Element arithmetic has the same bits everywhere: nothing is contracted into fused operations.
  set(common -ffp-contract=off -fno-math-errno -O3)
  set(loops)
  # gcc 12 keeps the accumulators of the innermost loops in memory at -O3, which costs almost half of the speed;
  # and without the last three, which change no bit of finite numbers but a zero's sign, it leaves the cells'
  # loops scalar (AVX2) or compares and blends where a minimum would do.
  if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    set(loops -O2 -ftree-vectorize -fvect-cost-model=dynamic -fno-trapping-math -ffinite-math-only
              -fno-signed-zeros)
  endif()
  set(avx2 -mavx2 -mfma)
  set(avx512 ${avx2} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512)
  set(options_kernels_avx2 ${avx2})
  set(options_kernels_avx2_dot ${avx2} -mavxvnni)
  set(options_kernels_avx512 ${avx512})
  set(options_kernels_avx512_dot ${avx512} -mavx512vnni -mavx512bf16)
  set(options_kernels_amx ${avx512} -mamx-tile -mamx-bf16 -mamx-int8)
  set(names network pack kernels kernels_generic)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64" AND NOT SD_NO_X86)
    list(APPEND names kernels_avx2 kernels_avx2_dot kernels_avx512 kernels_avx512_dot kernels_amx)
  else()
    set_property(SOURCE ${SD_NETWORK_FOLDER}/kernels.c APPEND PROPERTY COMPILE_DEFINITIONS SD_NO_X86)
  endif()
  foreach(name IN LISTS names)
    set(options ${common} ${options_${name}})
    if(name MATCHES "^kernels_")
      list(APPEND options ${loops})
    endif()
    target_sources(${target} PRIVATE ${SD_NETWORK_FOLDER}/${name}.c)
    set_source_files_properties(${SD_NETWORK_FOLDER}/${name}.c PROPERTIES COMPILE_OPTIONS "${options}")
  endforeach()
endfunction()
