# SPDX-License-Identifier: Apache-2.0
# Release only: LTO where the compiler can do it, and unused sections dropped.
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT ADIT_SANITIZE)
	include(CheckIPOSupported)
	check_ipo_supported(RESULT ipo_works OUTPUT ipo_reason LANGUAGES C)
	if(ADIT_LTO AND ipo_works)
		set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
	elseif(ADIT_LTO)
		message(STATUS "no link-time optimisation: ${ipo_reason}")
	endif()
	add_compile_options(-ffunction-sections -fdata-sections)
	add_link_options(LINKER:--gc-sections)
endif()
