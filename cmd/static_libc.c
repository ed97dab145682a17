/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a static program must not do: in glibc these load shared libraries of the very version
 * that it was linked with, wherever it runs. Nothing of ours calls them; names are looked up by
 * c-ares. The libraries hold calls that we never reach, and with these definitions the linker
 * takes none of glibc's: if one were reached after all, it would fail in a defined way.
 */

#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <pwd.h>

#include "base/compiler.h"

/* ---- modules: OpenSSL's, when its configuration file names one ---- */

void *dlopen(const char *file UNUSED, int mode UNUSED)
{
	return NULL;
}

void *dlsym(void *restrict handle UNUSED, const char *restrict name UNUSED)
{
	return NULL;
}

int dlclose(void *handle UNUSED)
{
	return -1;
}

char *dlerror(void)
{
	static char text[] = "a static program loads no modules";

	return text;
}

int dladdr(const void *address UNUSED, Dl_info *info UNUSED)
{
	return 0;
}

/* ---- names: OpenSSL's BIO_lookup(), libuv's home folder, c-ares' service names ---- */

int getaddrinfo(const char *restrict name UNUSED, const char *restrict service UNUSED,
		const struct addrinfo *restrict hints UNUSED, struct addrinfo **restrict out UNUSED)
{
	return EAI_FAIL;
}

void freeaddrinfo(struct addrinfo *info UNUSED)
{
}

int getnameinfo(const struct sockaddr *restrict address UNUSED, socklen_t n UNUSED,
		char *restrict host UNUSED, socklen_t n_host UNUSED, char *restrict service UNUSED,
		socklen_t n_service UNUSED, int flags UNUSED)
{
	return EAI_FAIL;
}

struct hostent *gethostbyname(const char *name UNUSED)
{
	h_errno = NO_RECOVERY;
	return NULL;
}

struct servent *getservbyname(const char *name UNUSED, const char *protocol UNUSED)
{
	return NULL;
}

int getservbyport_r(int port UNUSED, const char *restrict protocol UNUSED,
		    struct servent *restrict result UNUSED, char *restrict buf UNUSED,
		    size_t n UNUSED, struct servent **restrict foundp)
{
	*foundp = NULL;
	return ENOENT;
}

int getpwuid_r(uid_t uid UNUSED, struct passwd *restrict result UNUSED, char *restrict buf UNUSED,
	       size_t n UNUSED, struct passwd **restrict foundp)
{
	*foundp = NULL;
	return ENOENT;
}
