# clang is the default compiler: on the kernels it beats g++ 12, which spills. The newest one present is taken,
# unless CXX or CMAKE_CXX_COMPILER says otherwise.
if(NOT DEFINED CMAKE_CXX_COMPILER AND NOT DEFINED ENV{CXX})
  find_program(GALE_CLANG NAMES clang++-21 clang++-20 clang++-19 clang++-18 clang++-17 clang++-16 clang++)
  if(GALE_CLANG)
    set(CMAKE_CXX_COMPILER ${GALE_CLANG})
  endif()
endif()
find_program(GALE_CCACHE ccache)
if(GALE_CCACHE AND NOT DEFINED CMAKE_CXX_COMPILER_LAUNCHER)
  # What one checkout has compiled serves every other: paths below the source are hashed as relative ones.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${GALE_CCACHE})
endif()
