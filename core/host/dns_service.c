/* SPDX-License-Identifier: BSD-3-Clause
 * dns_service.c - the name server at 100.100.100.100
 *
 * Programs with a resolver of their own (c-ares, Go, Java, dig) ask here, by
 * UDP or TCP. What becomes of a query is in dns_ask.c.
 *
 * With dns = intercept the table names the system's name servers, and programs
 * are led here when they call one of them. The file is looked at again every
 * few seconds, because networks change.
 */
#include "core/host/dns_service.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/host/dns_service_internal.h"
#include "core/node/node_dns.h"

enum {
	DNS_PORT = 53,
	LOOK_AT_CONF_MS = 5000,
};

/* -- where we are found --------------------------------------------------- */

bool ts_dns_service_owns(const struct ts_host *host, const struct ts_addr *at)
{
	const struct ts_table_info *info = &host->info;

	if (!host->dns || at->port != DNS_PORT)
		return false;
	if (ts_ip_equal(&at->ip, &TS_SERVICE_IP) ||
	    ts_ip_equal(&at->ip, &TS_SERVICE_IP6))
		return true;
	for (size_t i = 0; i < info->resolver_count; i++)
		if (ts_ip_equal(&at->ip, &info->resolvers[i]))
			return true;
	return false;
}

/* 0, or -ENOMEM: the former ones are kept. */
static int follow_conf(struct ts_dns_service *s)
{
	struct ts_dns_resolvers *fresh = ts_dns_resolvers_new();
	int err = fresh ? 0 : -ENOMEM;

	for (size_t i = 0; !err && i < s->conf.count; i++)
		err = ts_dns_resolvers_add(fresh, &s->conf.servers[i].addr,
					   s->conf.servers[i].scope);
	if (err) {
		ts_dns_resolvers_put(fresh);
		return err;
	}
	fresh->in_turn = true;
	ts_dns_resolvers_put(s->system);
	s->system = fresh;
	return 0;
}

static void fill_info(const struct ts_dns_service *s)
{
	struct ts_table_info *info = &s->host->info;

	memset(info->resolvers, 0, sizeof(info->resolvers));
	info->resolver_count = 0;
	for (size_t i = 0; s->intercepts && i < s->conf.count; i++)
		info->resolvers[info->resolver_count++] =
			s->conf.servers[i].addr.ip;
}

static void on_conf_timer(void *ctx)
{
	struct ts_dns_service *s = ctx;

	if (ts_resolv_conf_refresh(&s->conf)) {
		log_debug("dns: %zu name servers of the system", s->conf.count);
		if (follow_conf(s))
			log_error("dns: other name servers of the system are "
				  "not asked: out of memory");
		fill_info(s);
		ts_host_publish(s->host);
	}
	ts_timer_set(s->conf_timer,
		     ts_host_now_ms(s->host) + LOOK_AT_CONF_MS);
}

/* -- for those who stand beside the host ---------------------------------- */

static void host_ask(void *ctx, const uint8_t *query, size_t len,
		     ts_node_dns_fn fn, void *fn_ctx)
{
	struct ts_member *member = ctx;

	ts_dns_service_ask_all(member->host, member, query, len, fn, fn_ctx);
}

static void host_cancel(void *ctx, const void *fn_ctx)
{
	const struct ts_member *member = ctx;

	ts_dns_service_cancel(member->host, fn_ctx);
}

static void host_read_system(void *ctx, struct ts_dns_system *out)
{
	const struct ts_member *member = ctx;
	const struct ts_dns_service *s = member->host->dns;

	*out = (struct ts_dns_system){.server_count = s->conf.count};
	for (size_t i = 0; i < s->conf.count; i++)
		out->servers[i] = s->conf.servers[i].addr.ip;
	out->search_count = ts_resolv_conf_read_search(s->conf.path,
						       out->search);
}

_Static_assert((int)TS_DNS_SYSTEM_SERVERS_MAX >= (int)TS_TABLE_RESOLVER_MAX,
	       "all name servers fit");

static const struct ts_node_dns_host dns_host = {
	.ask = host_ask,
	.cancel = host_cancel,
	.read_system = host_read_system,
};

int ts_dns_service_open(struct ts_host *host,
			const struct ts_host_config *config)
{
	struct ts_dns_service *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	host->dns = s;
	s->host = host;
	s->intercepts = config->dns == TS_DNS_INTERCEPT;
	s->conf.path = config->resolv_conf ? config->resolv_conf
					   : "/etc/resolv.conf";
	ts_list_init(&s->asks);
	s->forwarder = (struct ts_dns_forwarder){.host = host};
	s->timer = ts_timer_new(host->loop, ts_dns_asks_look, s);
	s->conf_timer = ts_timer_new(host->loop, on_conf_timer, s);
	if (!s->timer || !s->conf_timer)
		return -ENOMEM;
	(void)ts_resolv_conf_refresh(&s->conf);
	if (follow_conf(s))
		return -ENOMEM;
	fill_info(s);
	ts_timer_set(s->conf_timer, ts_host_now_ms(host) + LOOK_AT_CONF_MS);
	return 0;
}

int ts_dns_service_add(struct ts_member *member)
{
	struct ts_dns_service *s = member->host->dns;

	s->of[member->index].cache = ts_dns_cache_new();
	if (!s->of[member->index].cache)
		return -ENOMEM;
	ts_dns_service_enter_node(member);
	return 0;
}

void ts_dns_service_enter_node(struct ts_member *member)
{
	ts_node_set_dns_host(member->node, &dns_host, member);
}

void ts_dns_service_close(struct ts_host *host)
{
	struct ts_dns_service *s = host->dns;

	if (!s)
		return;
	for (unsigned i = 0; i < host->member_count; i++)
		ts_node_set_dns_host(host->members[i].node, NULL, NULL);
	/* Who is left stands beside the host: the others cancelled theirs. */
	ts_dns_asks_end(s);
	ts_timer_free(s->timer);
	ts_timer_free(s->conf_timer);
	ts_dns_resolvers_put(s->system);
	for (unsigned i = 0; i < TS_HOST_NODES_MAX; i++)
		ts_dns_cache_free(s->of[i].cache);
	free(s);
	host->dns = NULL;
}
