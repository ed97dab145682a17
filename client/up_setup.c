/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What needs privileges, in an order that leaves nothing behind when a step fails: the lock first,
 * so that nobody else's routes are cleaned up; the helper before the main process gives its
 * capabilities away, and while there is one thread. up_host_close() takes a half-built one apart.
 */

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"
#include "client/instance_lock.h"
#include "client/net_helper_dns.h"
#include "client/up_private.h"
#include "ctrl/ctrl_socket.h"
#include "routing/split_tunnel.h"
#include "tun/netlink_cleanup.h"
#include "tun/netlink_link.h"
#include "wire/tls_crypto.h"

/* How long the helper of a killed instance may take to finish. */
#define HELPER_PATIENCE_MS 10000

static int tell(struct diag *diag, int r, int exit_code)
{
	if (r != 0 || diag->n_items > 0)
		diag_print(diag);
	diag_deinit(diag);
	return r == 0 ? 0 : exit_code;
}

static int fail(const char *what, int r)
{
	log_error(what, log_text("reason", strerror(-r)));
	return CLIENT_EXIT_INTERNAL;
}

/* ---- who we will be ---- */

static int find_user(struct up *u)
{
	struct up_host *h = &u->host;
	const struct passwd *pw;

	if (!u->settings->user) {
		h->has_user = privileges_invoking_user(&h->user);
		return 0;
	}
	pw = getpwnam(u->settings->user);
	if (!pw) {
		log_error("no such user", log_text("user", u->settings->user));
		return UP_EXIT_CONFIG;
	}
	h->user = (struct privileges_user){.uid = pw->pw_uid, .gid = pw->pw_gid};
	h->has_user = pw->pw_uid != geteuid();
	return 0;
}

/* sudo's HOME is root's, the file is in that of who called it. */
static const char *credentials_path(const struct up *u, char out[CLIENT_PATH_MAX])
{
	const struct passwd *pw = u->host.has_user ? getpwuid(u->host.user.uid) : NULL;

	if (u->settings->credentials_file)
		return u->settings->credentials_file;
	if (!pw || getenv("ADIT_CLIENT_CREDENTIALS"))
		return NULL;
	snprintf(out, CLIENT_PATH_MAX, "%s/.config/adit/client.json", pw->pw_dir);
	return out;
}

/* As the user: a file of somebody else's is not to be read for him. */
static int read_credentials(struct up *u)
{
	char path[CLIENT_PATH_MAX];
	struct diag diag;
	int r = 0;

	prctl(PR_SET_DUMPABLE, 0);
	diag_init(&diag, NULL);
	if (u->host.has_user && seteuid(u->host.user.uid) < 0)
		r = -errno;
	if (r == 0)
		r = client_credentials_load(credentials_path(u, path), &u->credentials, &diag);
	if (u->host.has_user && seteuid(0) < 0)
		abort();
	return tell(&diag, r, UP_EXIT_CONFIG);
}

static int take_edges(struct up *u)
{
	for (size_t i = 0; i < u->settings->n_edges && i < CLIENT_EDGES_MAX; i++) {
		if (client_edge_parse(u->settings->edges[i], &u->edges[i]) < 0) {
			log_error("bad edge", log_text("edge", u->settings->edges[i]));
			return UP_EXIT_CONFIG;
		}
		u->connect.n_edges++;
	}
	u->connect.edges = u->edges;
	u->connect.credentials = u->credentials;
	u->connect.resolver = u->settings->resolver;
	return 0;
}

/* ---- numbers, lock, left-overs ---- */

static int choose_numbers(struct up *u)
{
	uint8_t id[TUN_ULA_ID_SIZE];
	struct diag diag;
	int r = 0;

	random_bytes(id, sizeof(id));
	diag_init(&diag, u->opt->config_path);
	u->host.numbers = tun_numbers_of(u->settings->instance);
	u->host.addresses = tun_addresses_default(u->settings->instance, id);
	for (size_t i = 0; r == 0 && i < u->settings->n_addresses; i++)
		r = tun_addresses_configure(&u->host.addresses, &u->settings->addresses[i], &diag);
	return tell(&diag, r, UP_EXIT_CONFIG);
}

static int take_lock(struct up *u)
{
	struct diag diag;
	int r;

	diag_init(&diag, NULL);
	r = instance_lock_take(u->settings->runtime_dir, u->host.numbers.table, HELPER_PATIENCE_MS,
			       &u->host.lock_fd, NULL, &diag);
	return tell(&diag, r, r == INSTANCE_LOCK_TAKEN ? UP_EXIT_RUNNING : CLIENT_EXIT_INTERNAL);
}

static int clean_up(struct up *u)
{
	CLEANUP(netlink_close) struct netlink *nl = NULL;
	struct netlink_found found = {0};
	int r = netlink_open(&nl);

	if (r == 0)
		r = netlink_cleanup(nl, &u->host.numbers, &found);
	if (found.n_rules + found.n_routes > 0)
		log_info("removed what a killed instance left",
			 log_int("rules", (int64_t)found.n_rules),
			 log_int("routes", (int64_t)found.n_routes));
	return r < 0 ? fail("old routes can't be removed", r) : 0;
}

static int remove_file(int folder_fd, const char *name)
{
	return unlinkat(folder_fd, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

/*
 * The one before may have been another user's, whose files ours could not use; with the lock held
 * they are nobody's. By descriptor: whoever owns what is above could put a link in the folder's
 * place.
 */
static int take_over_folder(const struct up_host *h, const char *folder, const char *name)
{
	CLEANUP(close_fd) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	uid_t uid = h->has_user ? h->user.uid : geteuid();
	gid_t gid = h->has_user ? h->user.gid : getegid();
	char lock[UP_SOCKET_PATH_MAX];
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0 ||
	    ((st.st_uid != uid || st.st_gid != gid) && fchown(fd, uid, gid) < 0))
		return -errno;
	snprintf(lock, sizeof(lock), "%s" CTRL_SOCKET_LOCK_SUFFIX, name);
	r = remove_file(fd, name);
	return r == 0 ? remove_file(fd, lock) : r;
}

/* The user's own, so that `adit down` needs no root. */
static int make_socket_folder(struct up *u)
{
	struct up_host *h = &u->host;
	char folder[UP_SOCKET_PATH_MAX];
	char *name;
	int r = up_socket_path(u->settings->runtime_dir, u->settings->instance, h->socket_path);

	if (r < 0)
		return fail("the runtime directory's name is too long", r);
	snprintf(folder, sizeof(folder), "%s", h->socket_path);
	name = strrchr(folder, '/');
	*name++ = '\0';
	r = dir_make(folder, 0755);
	if (r == 0)
		r = take_over_folder(h, folder, name);
	return r < 0 ? fail("no folder for the control socket", r) : 0;
}

/* ---- devices ---- */

static int open_device(struct up *u)
{
	struct up_host *h = &u->host;
	const struct ip_addr ips[] = {h->addresses.local4, h->addresses.local6};
	CLEANUP(netlink_close) struct netlink *nl = NULL;
	struct diag diag;
	int r;

	diag_init(&diag, NULL);
	r = tun_device_open(&h->device, "adit%d", &diag);
	if (r == 0)
		r = netlink_open(&nl);
	if (r == 0)
		r = netlink_device_set_up(nl, h->device.index, TUN_MTU, ips, ARRAY_SIZE(ips));
	if (r < 0 && diag.n_items == 0)
		diag_add(&diag, DIAG_ERROR, 0, "%s can't be set up: %s %s", h->device.name,
			 strerror(-r), nl ? netlink_error(nl) : "");
	return tell(&diag, r, CLIENT_EXIT_INTERNAL);
}

static int open_namespace(struct up *u)
{
	struct diag diag;
	int r;

	diag_init(&diag, NULL);
	r = private_ns_open(&u->host.ns, &u->host.addresses, 0, &diag);
	if (r == 0)
		log_debug("listeners", log_text("form", private_ns_form_name(u->host.ns.form)));
	return tell(&diag, r, CLIENT_EXIT_INTERNAL);
}

/* ---- the helper ---- */

static int take_prefixes(struct prefix_set *set, const struct prefix *items, size_t n)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = prefix_set_add(set, &items[i], UP_PREFIXES_MAX);
	return r;
}

/*
 * The most that may ever be captured: what was configured, or, where the edge's routes decide,
 * everything outside of forbidden ranges. And our own addresses.
 */
static int find_bounds(struct up *u, struct prefix_set *bounds)
{
	static const struct prefix_set nothing;
	const struct up_settings *s = u->settings;
	struct up_routes *r = &u->routes;
	const struct prefix own[] = {
		prefix_of_ip(&u->host.addresses.peer4),
		prefix_of_ip(&u->host.addresses.peer6),
	};
	struct split_tunnel_input in = {.include = &r->includes};
	int result = take_prefixes(&r->includes, s->includes, s->n_includes);

	if (result == 0)
		result = take_prefixes(&r->excludes, s->excludes, s->n_excludes);
	in.mode = s->mode == UP_MODE_INCLUDE && s->n_includes > 0 ? SPLIT_TUNNEL_INCLUDE
								  : SPLIT_TUNNEL_EXCLUDE;
	if (s->mode == UP_MODE_INCLUDE)
		in.exclude = &nothing;
	else
		in.exclude = s->n_excludes > 0 ? &r->excludes : NULL;
	if (result == 0)
		result = split_tunnel_compute(&in, bounds);
	for (size_t i = 0; result == 0 && i < ARRAY_SIZE(own); i++)
		result = prefix_set_add(bounds, &own[i], UP_PREFIXES_MAX);
	return result > 0 ? -E2BIG : result;
}

/* It runs with the helper's capability. The usual one is the distribution's business. */
static int check_resolvectl(struct up *u)
{
	const char *path = u->settings->resolvectl;
	struct stat st;

	if (strcmp(path, NET_HELPER_RESOLVECTL) == 0 || stat(path, &st) < 0)
		return 0;
	if ((st.st_uid == 0 || st.st_uid == geteuid()) && !(st.st_mode & (S_IWGRP | S_IWOTH)))
		return 0;
	log_error("resolvectl must be root's, and nobody else's to write", log_text("file", path));
	return UP_EXIT_CONFIG;
}

static int start_helper(struct up *u)
{
	CLEANUP(prefix_set_deinit) struct prefix_set bounds = {0};
	struct up_host *h = &u->host;
	struct net_helper_config config = {
		.keep_fd = h->lock_fd,
		.resolvectl = u->settings->resolvectl,
	};
	struct diag diag;
	int r = find_bounds(u, &bounds);

	diag_init(&diag, NULL);
	config.bounds = (struct net_bounds){
		.numbers = h->numbers,
		.index = h->device.index,
		.addresses = h->addresses,
		.prefixes = bounds.items,
		.n_prefixes = bounds.n,
	};
	memcpy(config.bounds.device, h->device.name, sizeof(config.bounds.device));
	if (r == 0)
		r = net_helper_start(&config, &h->helper, &diag);
	else
		diag_add(&diag, DIAG_ERROR, 0, "include and exclude: %s", strerror(-r));
	return tell(&diag, r, CLIENT_EXIT_INTERNAL);
}

/* ---- steps ---- */

static int have_rights(struct up *u UNUSED)
{
	if (privileges_have(PRIVILEGE(CAP_NET_ADMIN)))
		return 0;
	log_error("needs root, or CAP_NET_ADMIN, to make a network device: try sudo adit up; "
		  "'adit exec' and 'adit proxy' need no rights");
	return CLIENT_EXIT_INTERNAL;
}

int up_host_open(struct up *u)
{
	static int (*const steps[])(struct up * u) = {
		have_rights,	    find_user,	    read_credentials, take_edges,
		check_resolvectl,   choose_numbers, take_lock,	      clean_up,
		make_socket_folder, open_device,    open_namespace,   start_helper,
	};
	int code = 0;

	u->host.device.fd = -1;
	u->host.ns = (struct private_ns)PRIVATE_NS_NONE;
	u->host.lock_fd = -1;
	for (size_t i = 0; code == 0 && i < ARRAY_SIZE(steps); i++)
		code = steps[i](u);
	return code;
}

int up_host_let_go(struct up *u)
{
	const struct up_host *h = &u->host;
	int r = h->has_user ? privileges_drop_to(&h->user) : privileges_drop_all();

	prctl(PR_SET_DUMPABLE, 0);
	if (r < 0)
		return fail("privileges can't be given up", r);
	r = fd_limit_raise();
	if (r < 0)
		log_debug("descriptor limit stays", log_text("reason", strerror(-r)));
	return 0;
}

void up_host_stop_helper(struct up *u)
{
	struct net_helper *helper = steal_ptr(u->host.helper);

	if (helper && net_helper_stop(helper) != 0)
		log_warn("some routes may be left: 'adit down' removes them");
	net_helper_free(helper);
}

void up_host_close(struct up *u)
{
	struct up_host *h = &u->host;

	up_host_stop_helper(u);
	private_ns_close(&h->ns);
	tun_device_close(&h->device);
	close_fd(h->lock_fd);
}

/* The lock is let go without a word, so it is looked at again and again. */
static int wait_for_lock(const char *runtime_dir, uint32_t table, unsigned int patience_ms,
			 int *fdp, struct diag *diag)
{
	const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
	uint64_t until_ms = clock_boot_ms() + patience_ms;
	int r;

	while ((r = instance_lock_take(runtime_dir, table, HELPER_PATIENCE_MS, fdp, NULL, NULL)) ==
		       INSTANCE_LOCK_TAKEN &&
	       clock_boot_ms() < until_ms)
		nanosleep(&pause, NULL);
	if (r == 0)
		return 0;
	return instance_lock_take(runtime_dir, table, HELPER_PATIENCE_MS, fdp, NULL, diag);
}

int up_clean(const char *runtime_dir, uint32_t instance, unsigned int patience_ms,
	     char text[UP_TEXT_MAX])
{
	const struct tun_numbers numbers = tun_numbers_of(instance);
	CLEANUP(netlink_close) struct netlink *nl = NULL;
	CLEANUP(close_fd) int lock_fd = -1;
	struct netlink_found found = {0};
	struct diag diag;
	int r;

	text[0] = '\0';
	diag_init(&diag, NULL);
	r = wait_for_lock(runtime_dir, numbers.table, patience_ms, &lock_fd, &diag);
	if (r == 0)
		r = netlink_open(&nl);
	if (r == 0)
		r = netlink_cleanup(nl, &numbers, &found);
	if (r < 0 && diag.n_items == 0)
		diag_add(&diag, DIAG_ERROR, 0, "old routes can't be removed: %s", strerror(-r));
	if (r != 0)
		diag_format(&diag, text, UP_TEXT_MAX);
	else if (found.n_rules + found.n_routes > 0)
		snprintf(text, UP_TEXT_MAX, "removed %zu rules and %zu routes", found.n_rules,
			 found.n_routes);
	diag_deinit(&diag);
	return r != 0;
}
