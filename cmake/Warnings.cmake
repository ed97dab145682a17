# SPDX-License-Identifier: Apache-2.0
set(ADIT_WARNINGS
	-Wall -Wextra -Wpedantic -Wshadow -Wundef -Wvla -Wformat=2
	-Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wwrite-strings
	-Wcast-qual -Wcast-align -Wpointer-arith -Wredundant-decls -Wimplicit-fallthrough
	-Wswitch-enum -Wdouble-promotion -Wconversion
	-Werror=implicit -Werror=format-security -Werror=attributes)
set(ADIT_WARNINGS_GNU -Wnull-dereference -Wlogical-op -Wformat-signedness)
set(ADIT_WARNINGS_Clang -Wmissing-variable-declarations -Wcomma)

function(enable_project_warnings target)
	target_compile_options(${target} PRIVATE ${ADIT_WARNINGS} ${ADIT_WARNINGS_${CMAKE_C_COMPILER_ID}}
		$<$<BOOL:${ADIT_WERROR}>:-Werror>)
endfunction()
