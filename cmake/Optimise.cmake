# SPDX-License-Identifier: Apache-2.0
# Release only (its preset says -Os, adit_library() -O2 for the data path): LTO where the compiler
# can do it, unused sections dropped, relocations packed (a position-independent program of ours has
# thousands, of 24 bytes each; glibc 2.36 reads them).
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT ADIT_SANITIZE)
	include(CheckIPOSupported)
	include(CheckLinkerFlag)
	check_ipo_supported(RESULT ipo_works OUTPUT ipo_reason LANGUAGES C)
	if(ADIT_LTO AND ipo_works)
		set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
	elseif(ADIT_LTO)
		message(STATUS "no link-time optimisation: ${ipo_reason}")
	endif()
	add_compile_options(-ffunction-sections -fdata-sections)
	add_link_options(LINKER:--gc-sections)
	check_linker_flag(C LINKER:-z,pack-relative-relocs packs_relocations)
	if(packs_relocations)
		add_link_options(LINKER:-z,pack-relative-relocs)
	endif()
endif()
