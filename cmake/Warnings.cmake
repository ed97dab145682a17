# SPDX-License-Identifier: Apache-2.0
# Both compilers are quiet under all of these; ADIT_WERROR (set in CI) keeps it so.
set(ADIT_WARNINGS
	-Wall -Wextra -Wpedantic
	-Wcast-align
	-Wconversion
	-Wdate-time
	-Wdouble-promotion
	-Wformat=2
	-Wimplicit-fallthrough
	-Wmissing-declarations
	-Wmissing-prototypes
	-Wnested-externs
	-Wold-style-definition
	-Wpointer-arith
	-Wredundant-decls
	-Wshadow
	-Wstrict-prototypes
	-Wswitch-enum		# a new state breaks the build at every switch that must know it
	-Wundef
	-Wvla
	-Wwrite-strings
	-Werror=attributes	# a misspelt cleanup attribute would leak
	-Werror=format-security
	-Werror=implicit)
# -Wcast-qual: clang also sees it in the expansion of OpenSSL's macros.
set(ADIT_WARNINGS_GNU -Wcast-qual -Wduplicated-cond -Wformat-signedness -Wlogical-op -Wnull-dereference)
set(ADIT_WARNINGS_Clang -Wcomma -Wmissing-variable-declarations)

function(enable_project_warnings target)
	target_compile_options(${target} PRIVATE ${ADIT_WARNINGS} ${ADIT_WARNINGS_${CMAKE_C_COMPILER_ID}}
		$<$<BOOL:${ADIT_WERROR}>:-Werror>)
endfunction()
