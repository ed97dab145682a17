# SPDX-License-Identifier: Apache-2.0
# A finding ends the process: no recovery, and stacks that can be read.
if(ADIT_FUZZ)
	if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
		message(FATAL_ERROR "ADIT_FUZZ needs clang: configure with CC=clang")
	endif()
	add_compile_options(-fsanitize=fuzzer-no-link)
endif()
if(ADIT_SANITIZE)
	add_compile_options(-fsanitize=${ADIT_SANITIZE} -fno-sanitize-recover=all
		-fno-omit-frame-pointer -fno-optimize-sibling-calls)
	add_link_options(-fsanitize=${ADIT_SANITIZE})
endif()
