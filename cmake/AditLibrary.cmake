# SPDX-License-Identifier: Apache-2.0
# One static library per folder: adit_library(wire PUBLIC base PRIVATE PkgConfig::NGHTTP2)
#
# A release is made for size (cmake/Optimise.cmake) but where bytes and packets pass in numbers:
set(ADIT_DATA_PATH "base/buf|routing/|wire/(h2_|relay|link|io_loop|tls[.]c|budget|capsule|datagram)|tun/(packet|checksum|nat|flow_table)")
function(adit_library name)
	cmake_parse_arguments(ARG "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
	list(TRANSFORM ARG_PUBLIC PREPEND adit_ REGEX "^(base|routing|wire|tun|ctrl|agent|edge|client|cmd)$")
	add_library(adit_${name} STATIC ${ARG_SOURCES})
	target_include_directories(adit_${name} PUBLIC ${CMAKE_SOURCE_DIR})
	target_link_libraries(adit_${name} PUBLIC ${ARG_PUBLIC} PRIVATE ${ARG_PRIVATE})
	list(FILTER ARG_SOURCES INCLUDE REGEX "/(${ADIT_DATA_PATH})[^/]*$")
	set_source_files_properties(${ARG_SOURCES} PROPERTIES
		COMPILE_OPTIONS $<$<CONFIG:Release>:-O2>)
	enable_project_warnings(adit_${name})
endfunction()
