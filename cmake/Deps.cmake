# SPDX-License-Identifier: Apache-2.0
# All of it is in Debian 12; nothing is downloaded or vendored. The include folders of imported
# targets are SYSTEM ones, so third-party headers stay quiet under our warnings.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
set(uv libuv)
if(ADIT_STATIC)
	# Debian has no libmnl.a, and names libuv's archive otherwise.
	set(CMAKE_FIND_LIBRARY_SUFFIXES .a)
	set(uv libuv-static)
endif()
pkg_check_modules(UV REQUIRED IMPORTED_TARGET ${uv}>=1.44)
pkg_check_modules(NGHTTP2 REQUIRED IMPORTED_TARGET libnghttp2>=1.52)
pkg_check_modules(OPENSSL REQUIRED IMPORTED_TARGET openssl>=3.0)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson>=2.14)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1>=0.2.5)
pkg_check_modules(CARES REQUIRED IMPORTED_TARGET libcares>=1.18)
pkg_check_modules(SECCOMP REQUIRED IMPORTED_TARGET libseccomp>=2.5)
if(NOT ADIT_STATIC)
	pkg_check_modules(MNL REQUIRED IMPORTED_TARGET libmnl>=1.0.4)
	pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3>=3.40)
endif()
if(BUILD_TESTING)
	pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka>=1.1)
	# HINTS come before $PATH: python3-h2 belongs to Debian's own interpreter.
	find_program(ADIT_PYTHON python3 HINTS /usr/bin REQUIRED)
endif()
