/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Dump, pick, delete what was dumped. What is picked is sent back as the kernel described it, so
 * that nothing but that very object matches; the protocol number is among it. Deleting while the
 * dump runs would disturb it, hence the copies, a bounded batch at a time; what is left is found by
 * the next round.
 */

#include "tun/netlink_cleanup.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <string.h>

#include "base/err.h"
#include "tun/netlink_private.h"

#define COPIES_BYTES (256 * 1024)
#define ROUNDS_MAX   10000 /* of a batch each: more routes than the kernel will hold */
#define COPY_MAX     512   /* a message of ours is under 200 */

struct sweep {
	const struct tun_numbers *numbers;
	size_t n_seen;
	size_t n_bytes;	 /* used of @copies */
	bool incomplete; /* a batch is full */
	char *copies;	 /* NULL: count only */
};

/* Attributes of a route or rule that tell whose it is. */
struct marks {
	uint8_t protocol;
	uint32_t table;
	uint32_t priority;
};

static int take_route_mark(const struct nlattr *attr, void *data)
{
	struct marks *marks = data;

	if (mnl_attr_get_type(attr) == RTA_TABLE)
		marks->table = netlink_take_u32(attr);
	return MNL_CB_OK;
}

static int take_rule_mark(const struct nlattr *attr, void *data)
{
	struct marks *marks = data;

	switch (mnl_attr_get_type(attr)) {
	case FRA_TABLE:
		marks->table = netlink_take_u32(attr);
		break;
	case FRA_PRIORITY:
		marks->priority = netlink_take_u32(attr);
		break;
	case FRA_PROTOCOL:
		if (mnl_attr_validate(attr, MNL_TYPE_U8) >= 0)
			marks->protocol = mnl_attr_get_u8(attr);
		break;
	default:
		break;
	}
	return MNL_CB_OK;
}

static int keep(struct sweep *sweep, const struct nlmsghdr *nlh)
{
	size_t n = netlink_align(nlh->nlmsg_len);

	sweep->n_seen++;
	if (!sweep->copies)
		return MNL_CB_OK;
	if (n > COPY_MAX || sweep->n_bytes + n > COPIES_BYTES) {
		sweep->incomplete = true;
		return MNL_CB_OK;
	}
	memcpy(sweep->copies + sweep->n_bytes, nlh, nlh->nlmsg_len);
	sweep->n_bytes += n;
	return MNL_CB_OK;
}

static int take_route(const struct nlmsghdr *nlh, void *data)
{
	struct sweep *sweep = data;
	const struct rtmsg *rt = mnl_nlmsg_get_payload(nlh);
	struct marks marks = {0};

	if (nlh->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(nlh) < sizeof(*rt))
		return MNL_CB_OK;
	if (mnl_attr_parse(nlh, sizeof(*rt), take_route_mark, &marks) < 0)
		return MNL_CB_ERROR;
	if (rt->rtm_protocol != TUN_PROTOCOL || marks.table != sweep->numbers->table)
		return MNL_CB_OK;
	return keep(sweep, nlh);
}

static bool is_own_rule(const struct tun_numbers *numbers, const struct marks *marks)
{
	if (marks->protocol != TUN_PROTOCOL)
		return false;
	return marks->table == numbers->table ||
	       (marks->table == RT_TABLE_MAIN && marks->priority == numbers->priority_local);
}

static int take_rule(const struct nlmsghdr *nlh, void *data)
{
	struct sweep *sweep = data;
	const struct fib_rule_hdr *rule = mnl_nlmsg_get_payload(nlh);
	struct marks marks = {0};

	if (nlh->nlmsg_type != RTM_NEWRULE || mnl_nlmsg_get_payload_len(nlh) < sizeof(*rule))
		return MNL_CB_OK;
	if (mnl_attr_parse(nlh, sizeof(*rule), take_rule_mark, &marks) < 0)
		return MNL_CB_ERROR;
	return is_own_rule(sweep->numbers, &marks) ? keep(sweep, nlh) : MNL_CB_OK;
}

/* One family's routes or rules. The filters only spare reading: what comes is judged again. */
struct pass {
	uint16_t get;
	uint16_t delete;
	uint8_t family;
	mnl_cb_t take;
};

static const struct pass passes[] = {
	{RTM_GETRULE, RTM_DELRULE, AF_INET, take_rule},
	{RTM_GETRULE, RTM_DELRULE, AF_INET6, take_rule},
	{RTM_GETROUTE, RTM_DELROUTE, AF_INET, take_route},
	{RTM_GETROUTE, RTM_DELROUTE, AF_INET6, take_route},
};

static int dump(struct netlink *nl, const struct pass *pass, struct sweep *sweep)
{
	struct nlmsghdr *nlh = netlink_request(nl, pass->get, 0);
	int r;

	sweep->n_seen = 0;
	sweep->n_bytes = 0;
	sweep->incomplete = false;
	if (pass->get == RTM_GETROUTE) {
		struct rtmsg *rt = mnl_nlmsg_put_extra_header(nlh, sizeof(*rt));

		rt->rtm_family = pass->family;
		rt->rtm_protocol = TUN_PROTOCOL;
		mnl_attr_put_u32(nlh, RTA_TABLE, sweep->numbers->table);
	} else {
		struct fib_rule_hdr *rule = mnl_nlmsg_put_extra_header(nlh, sizeof(*rule));

		rule->family = pass->family;
	}
	r = netlink_dump(nl, nlh, pass->take, sweep);
	/* A table that never had a route of that family. */
	return r == -ENOENT ? 0 : r;
}

/* State of the object that a request mustn't have. */
static void clear_state(struct nlmsghdr *nlh, const struct pass *pass)
{
	if (pass->get == RTM_GETROUTE) {
		struct rtmsg *rt = mnl_nlmsg_get_payload(nlh);

		rt->rtm_flags = 0;
	} else {
		struct fib_rule_hdr *rule = mnl_nlmsg_get_payload(nlh);

		rule->flags &= FIB_RULE_INVERT;
	}
}

static int delete_copy(struct netlink *nl, const struct pass *pass, const struct nlmsghdr *copy)
{
	struct nlmsghdr *nlh = netlink_request(nl, pass->delete, 0);
	int r;

	memcpy((char *)nlh + NLMSG_HDRLEN, (const char *)copy + NLMSG_HDRLEN,
	       copy->nlmsg_len - NLMSG_HDRLEN);
	nlh->nlmsg_len = copy->nlmsg_len;
	clear_state(nlh, pass);
	r = netlink_transact(nl, nlh);
	/* Somebody was faster, or the device took it along. */
	return r == -ENOENT || r == -ESRCH ? 0 : r;
}

static int delete_batch(struct netlink *nl, const struct pass *pass, const struct sweep *sweep,
			size_t *n_deletedp)
{
	int first = 0;

	for (size_t at = 0; at < sweep->n_bytes;) {
		const struct nlmsghdr *copy = (const void *)(sweep->copies + at);
		int r = delete_copy(nl, pass, copy);

		if (r < 0 && !first)
			first = r;
		*n_deletedp += r == 0;
		at += netlink_align(copy->nlmsg_len);
	}
	return first;
}

/* Until nothing is left; -EINTR of a dump means "look again", which the next round does. */
static int run_pass(struct netlink *nl, const struct pass *pass, struct sweep *sweep,
		    size_t *n_deletedp)
{
	for (unsigned int round = 0; round < ROUNDS_MAX; round++) {
		size_t before = *n_deletedp;
		int dumped = dump(nl, pass, sweep);
		int r;

		if (dumped < 0 && dumped != -EINTR)
			return err_trace(dumped);
		r = delete_batch(nl, pass, sweep, n_deletedp);
		if (r < 0)
			return err_trace(r);
		if (dumped == 0 && !sweep->incomplete)
			return 0;
		/* A full batch of which nothing goes would go on for ever. */
		if (dumped == 0 && *n_deletedp == before)
			return err_trace(-EMSGSIZE);
	}
	return err_trace(-ELOOP);
}

static size_t *counter(struct netlink_found *found, const struct pass *pass)
{
	return pass->get == RTM_GETRULE ? &found->n_rules : &found->n_routes;
}

int netlink_cleanup(struct netlink *nl, const struct tun_numbers *numbers,
		    struct netlink_found *foundp)
{
	CLEANUP(free) char *copies = malloc(COPIES_BYTES);
	struct sweep sweep = {.numbers = numbers, .copies = copies};
	struct netlink_found found = {0};
	int first = 0;

	if (!copies)
		return err_trace(-ENOMEM);
	for (size_t i = 0; i < sizeof(passes) / sizeof(passes[0]); i++) {
		int r = run_pass(nl, &passes[i], &sweep, counter(&found, &passes[i]));

		if (r < 0 && !first)
			first = r;
	}
	if (foundp)
		*foundp = found;
	return first;
}

int netlink_count_own(struct netlink *nl, const struct tun_numbers *numbers,
		      struct netlink_found *foundp)
{
	struct sweep sweep = {.numbers = numbers};
	struct netlink_found found = {0};

	for (size_t i = 0; i < sizeof(passes) / sizeof(passes[0]); i++) {
		int r = dump(nl, &passes[i], &sweep);

		if (r < 0)
			return err_trace(r);
		*counter(&found, &passes[i]) += sweep.n_seen;
	}
	*foundp = found;
	return 0;
}
