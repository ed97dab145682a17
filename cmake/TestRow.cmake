# SPDX-License-Identifier: Apache-2.0
# One way to add a test: adit_test(NAME unit.base.buf LABEL unit COMMAND ...)
#
# Exit 77 is "skipped: a right or a program is missing"; tests turn it into a failure for what
# ADIT_TEST_REQUIRE names. The sanitizers' options are set here, so `ctest` alone has them too.
function(adit_test)
	cmake_parse_arguments(ARG "" "NAME;LABEL;TIMEOUT" "COMMAND" ${ARGN})
	if(NOT ARG_TIMEOUT)
		set(ARG_TIMEOUT 120)
	endif()
	add_test(NAME ${ARG_NAME} COMMAND ${ARG_COMMAND})
	set(row
		"ADIT_BIN_DIR=${CMAKE_BINARY_DIR}/cmd"
		"ADIT_BUILD_DIR=${CMAKE_BINARY_DIR}"
		"ADIT_SOURCE_DIR=${CMAKE_SOURCE_DIR}"
		"PYTHONDONTWRITEBYTECODE=1"
		"ASAN_OPTIONS=abort_on_error=1:detect_leaks=1:strict_string_checks=1"
		"UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1"
		"TSAN_OPTIONS=log_path=stdout")
	set_tests_properties(${ARG_NAME} PROPERTIES
		LABELS ${ARG_LABEL} TIMEOUT ${ARG_TIMEOUT} SKIP_RETURN_CODE 77 ENVIRONMENT "${row}")
endfunction()
