/* SPDX-License-Identifier: Apache-2.0 */
/* `adit-edge init` and `adit-edge cert renew`: the edge's CA and certificate, without the edge */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/file.h"
#include "cmd/commands.h"
#include "cmd/options.h"
#include "edge/paths.h"
#include "wire/tls_ca.h"

struct cert_files {
	const char *dir;
	char ca_dir[PATH_MAX];
	char ca_cert[PATH_MAX];
	char ca_key[PATH_MAX];
	char cert[PATH_MAX];
	char key[PATH_MAX];
};

struct cert_options {
	const char *state_dir;
	const char *ca_dir;
	struct option_list dns;
	struct option_list ips;
};

/* ---- command line ---- */

#define CERT_ROWS(o)                                                                                 \
	{                                                                                            \
		{"ca-directory",                                                                     \
		 "DIR",                                                                              \
		 OPTION_TEXT,                                                                        \
		 &(o)->ca_dir,                                                                       \
		 "where the CA's key is (the state directory's name with " EDGE_CA_DIR_SUFFIX ")",   \
		 0,                                                                                  \
		 0},                                                                                 \
			{"ip", "IP", OPTION_LIST, &(o)->ips, "address of the edge; may be repeated", \
			 0,    0},                                                                   \
			{"name",                                                                     \
			 "DNS",                                                                      \
			 OPTION_LIST,                                                                \
			 &(o)->dns,                                                                  \
			 "host name of the edge, *.example.org too; may be repeated",                \
			 0,                                                                          \
			 0},                                                                         \
			{"state-directory",                                                          \
			 "DIR",                                                                      \
			 OPTION_TEXT,                                                                \
			 &(o)->state_dir,                                                            \
			 "where the files are (" EDGE_STATE_DIR ")",                                 \
			 0,                                                                          \
			 0},                                                                         \
	}

static int add_names(const struct option_spec *spec, const struct option_list *list, bool want_ips,
		     struct tls_names *names)
{
	for (size_t i = 0; i < list->n; i++) {
		const char *text = list->items[i];
		struct ip_addr ip;
		bool is_ip = ip_parse(text, &ip) == 0;
		int r = is_ip == want_ips ? tls_names_add(names, text) : -EINVAL;

		if (r == -EINVAL)
			return options_refuse(spec, "\"%s\" is no %s", text,
					      want_ips ? "IP address" : "host name");
		if (r == -ENOSPC)
			return options_refuse(spec, "more than %d names", TLS_NAMES_MAX);
	}
	return OPTIONS_GO_ON;
}

static int collect_names(const struct option_spec *spec, const struct cert_options *o,
			 struct tls_names *names)
{
	int r = add_names(spec, &o->dns, false, names);

	return r == OPTIONS_GO_ON ? add_names(spec, &o->ips, true, names) : r;
}

/* ---- files ---- */

static int name_file(char out[PATH_MAX], const char *dir, const char *name)
{
	return snprintf(out, PATH_MAX, "%s/%s", dir, name) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* A slash at the end of the state directory's name isn't part of it. */
static int name_ca_dir(struct cert_files *f, const char *ca_dir)
{
	size_t n = strlen(f->dir);
	int r;

	while (n > 1 && f->dir[n - 1] == '/')
		n--;
	r = ca_dir ? snprintf(f->ca_dir, sizeof(f->ca_dir), "%s", ca_dir)
		   : snprintf(f->ca_dir, sizeof(f->ca_dir), "%.*s" EDGE_CA_DIR_SUFFIX, (int)n,
			      f->dir);
	return (size_t)r < sizeof(f->ca_dir) ? 0 : -ENAMETOOLONG;
}

static int name_files(struct cert_files *f, const struct cert_options *o)
{
	f->dir = o->state_dir ? o->state_dir : EDGE_STATE_DIR;
	if (name_ca_dir(f, o->ca_dir) < 0 || name_file(f->ca_cert, f->dir, EDGE_CA_CERT_NAME) < 0 ||
	    name_file(f->ca_key, f->ca_dir, EDGE_CA_KEY_NAME) < 0 ||
	    name_file(f->cert, f->dir, EDGE_CERT_NAME) < 0 ||
	    name_file(f->key, f->dir, EDGE_KEY_NAME) < 0) {
		fprintf(stderr, "adit-edge: %.100s...: path too long\n", f->dir);
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}

/*
 * Run as root, the files still belong to whom the folder belongs to: the edge's user. Not so the
 * CA's key, which stays with who runs this.
 */
static int give_to_owner(const struct cert_files *f)
{
	const char *const files[] = {f->ca_cert, f->cert, f->key};
	struct stat st;

	if (geteuid() != 0 || stat(f->dir, &st) < 0 || st.st_uid == 0)
		return EXIT_SUCCESS;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		if (lchown(files[i], st.st_uid, st.st_gid) < 0) {
			fprintf(stderr, "adit-edge: %s: %s\n", files[i], strerror(errno));
			return EXIT_FAILURE;
		}
	return EXIT_SUCCESS;
}

static void print_files(const struct cert_files *f)
{
	char text[IP_TEXT_MAX];
	char when[CLOCK_TEXT_MAX];
	struct tls_names names;
	int64_t end_ms;

	if (tls_cert_read(f->cert, &names, &end_ms, NULL) < 0)
		return;
	printf("CA           %s (agents: cacert)\n", f->ca_cert);
	printf("its key      %s (for cert renew; the edge doesn't need it)\n", f->ca_key);
	printf("certificate  %s, until %s\nfor         ", f->cert, clock_format_wall(end_ms, when));
	for (size_t i = 0; i < names.n_dns; i++)
		printf(" %s", names.dns[i]);
	for (size_t i = 0; i < names.n_ips; i++)
		printf(" %s", ip_format(&names.ips[i], text));
	putchar('\n');
}

/* ---- what both commands do ---- */

typedef int (*make_fn)(const struct cert_files *f, struct tls_names *names, struct diag *diag);

static int make_and_show(const struct cert_files *f, struct tls_names *names, make_fn make)
{
	struct diag diag;
	int r;

	diag_init(&diag, NULL);
	r = make(f, names, &diag);
	diag_print(&diag);
	diag_deinit(&diag);
	if (r < 0 || give_to_owner(f) != EXIT_SUCCESS)
		return EXIT_FAILURE;
	print_files(f);
	return EXIT_SUCCESS;
}

static int run(int argc, char **argv, const char *usage, const char *summary, make_fn make)
{
	struct cert_options o = {0};
	const struct option_row rows[] = CERT_ROWS(&o);
	const struct option_spec spec = {
		.usage = usage,
		.summary = summary,
		OPTION_ROWS(rows),
	};
	struct tls_names names = {0};
	struct cert_files f;
	int r = options_parse(&spec, &argc, argv);

	if (r == OPTIONS_GO_ON)
		r = collect_names(&spec, &o, &names);
	if (r != OPTIONS_GO_ON)
		return r;
	if (name_files(&f, &o) != EXIT_SUCCESS)
		return EXIT_FAILURE;
	return make_and_show(&f, &names, make);
}

/* ---- init ---- */

static int make_folder(const char *dir, struct diag *diag)
{
	int r = dir_make(dir, 0700);

	if (r < 0)
		diag_add(diag, DIAG_ERROR, 0, "%s: %s", dir, strerror(-r));
	return r;
}

static int make_all(const struct cert_files *f, struct tls_names *names, struct diag *diag)
{
	int64_t now_ms = clock_wall_ms();
	int r = make_folder(f->dir, diag);

	if (r == 0)
		r = make_folder(f->ca_dir, diag);
	if (r == 0)
		r = tls_ca_create(f->ca_cert, f->ca_key, names, now_ms, diag);
	if (r == 0)
		r = tls_ca_issue(f->ca_cert, f->ca_key, f->cert, f->key, names, now_ms, diag);
	return r;
}

int edge_init(int argc, char **argv)
{
	static const char summary[] =
		"Makes the edge's CA and its certificate. Names are fixed for the CA's life: give "
		"all that\nagents and users will dial.";

	return run(argc, argv, "adit-edge init [OPTIONS]", summary, make_all);
}

/* ---- renew ---- */

/* Earlier versions kept the key beside the others, where the running edge could read it. */
static int take_key_away(const struct cert_files *f, struct diag *diag)
{
	char old[PATH_MAX];
	int r = name_file(old, f->dir, EDGE_CA_KEY_NAME);

	if (r < 0 || access(f->ca_key, F_OK) == 0 || access(old, F_OK) < 0)
		return 0;
	r = make_folder(f->ca_dir, diag);
	if (r < 0)
		return r;
	if (rename(old, f->ca_key) == 0 && lchown(f->ca_key, geteuid(), getegid()) == 0)
		return 0;
	r = -errno;
	diag_add(diag, DIAG_ERROR, 0, "%s can't be moved to %s: %s", old, f->ca_key, strerror(-r));
	return r;
}

static int renew_all(const struct cert_files *f, struct tls_names *names, struct diag *diag)
{
	int r = take_key_away(f, diag);

	if (r == 0 && names->n_dns + names->n_ips == 0)
		r = tls_cert_read(f->cert, names, NULL, diag);
	if (r == 0)
		r = tls_ca_issue(f->ca_cert, f->ca_key, f->cert, f->key, names, clock_wall_ms(),
				 diag);
	return r;
}

static int renew(int argc, char **argv)
{
	static const char summary[] =
		"Issues the edge's certificate again, for the same names or for those given, with "
		"a new\nkey. A running edge takes it within a minute.";

	return run(argc, argv, "adit-edge cert renew [OPTIONS]", summary, renew_all);
}

int edge_cert(int argc, char **argv)
{
	static const struct command rows[] = {
		{"renew", renew, "issue the certificate again"},
	};
	static const struct command_set set = {
		.program = "adit-edge cert",
		.summary = "The edge's certificate.",
		COMMAND_ROWS(rows),
	};

	return commands_run(&set, argc, argv);
}
