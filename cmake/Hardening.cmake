# SPDX-License-Identifier: Apache-2.0
# For optimised builds without sanitizers: what Debian's hardening=+all does, and CET.
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT ADIT_SANITIZE AND CMAKE_BUILD_TYPE MATCHES "^(Release|RelWithDebInfo|MinSizeRel)$")
	add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong
		-fstack-clash-protection)
	if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
		add_compile_options(-fcf-protection)
	endif()
	add_link_options(-pie LINKER:-z,relro LINKER:-z,now LINKER:-z,noexecstack LINKER:--as-needed)
endif()
