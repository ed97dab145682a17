# SPDX-License-Identifier: Apache-2.0
# For optimised builds without sanitizers: what Debian's hardening=+all does, and CET.
# _FORTIFY_SOURCE needs an optimiser and hides bugs from ASan, hence the condition.
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT ADIT_SANITIZE AND CMAKE_BUILD_TYPE MATCHES "^(Release|RelWithDebInfo|MinSizeRel)$")
	add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong
		-fstack-clash-protection)
	if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
		add_compile_options(-fcf-protection)
	endif()
	# The linker's, not the compiler's: clang calls -pie unused where nothing is linked.
	if(ADIT_STATIC)
		set(pie -static-pie)
	else()
		set(pie -pie)
	endif()
	set(CMAKE_EXE_LINKER_FLAGS "${CMAKE_EXE_LINKER_FLAGS} ${pie}")
	add_link_options(LINKER:-z,relro LINKER:-z,now LINKER:-z,noexecstack LINKER:--as-needed)
endif()
