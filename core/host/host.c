/* SPDX-License-Identifier: BSD-3-Clause
 * host.c - open, close, and tell the programs what changed
 *
 * Everything here runs on the loop's thread. The order of closing is the
 * order of trust: first nobody can ask any more, then held connects are
 * refused and flows reset, then the table goes; programs keep their mapping
 * of it and read ENETDOWN there.
 */
#include "core/host/host.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/crypto/secret.h"
#include "core/host/dns_service.h"
#include "core/host/forward.h"
#include "core/host/host_internal.h"
#include "core/host/notify.h"
#include "core/host/peerapi.h"
#include "core/host/tls_server.h"
#include "core/host/proxy.h"
#include "core/host/stand_ins.h"

enum {
	HELD_FALLBACK = 4096, /* where /proc does not tell */
	HELD_MIN = 64,
};

uint64_t ts_host_now_ms(const struct ts_host *host)
{
	return ts_loop_now_ms(host->loop);
}

/* A held connect costs a page of tcp_mem and an fd of ours: never more than
 * a quarter of either. */
static size_t held_max(void)
{
	unsigned long pages = HELD_FALLBACK * 4;
	struct rlimit limit;
	FILE *f = fopen("/proc/sys/net/ipv4/tcp_mem", "re");

	if (f) {
		if (fscanf(f, "%*u %lu", &pages) != 1)
			pages = HELD_FALLBACK * 4;
		fclose(f);
	}
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
	    limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < pages)
		pages = limit.rlim_cur;
	return pages / 4 > HELD_MIN ? pages / 4 : HELD_MIN;
}

/* In a process of our own only: a program may rely on its limit (select). */
static void raise_fd_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

void ts_host_publish(struct ts_host *host)
{
	struct ts_table_info *info = &host->info;

	info->has_loopback6 = host->rv.port6 != 0;
	info->one_loopback = host->rv.one_loopback;
	info->source_follows = host->rv.source_follows;
	info->holds = host->rv.holds;
	info->rendezvous_port = host->rv.port4;
	info->rendezvous6_port = host->rv.port6;
	ts_views_publish(host);
}

static void init_info(struct ts_host *host, const struct ts_host_config *config)
{
	struct ts_table_info *info = &host->info;

	info->generation = 1;
	info->host_pid = getpid();
	info->listen_mode = (uint8_t)config->first.listen;
	if (config->socket_path)
		snprintf(info->broker_path, sizeof(info->broker_path), "%s",
			 config->socket_path);
	if (config->abstract_name)
		snprintf(info->broker_abstract, sizeof(info->broker_abstract),
			 "%s", config->abstract_name);
	ts_random_bytes(info->token, sizeof(info->token));
	ts_table_info_from_nodes(info, host->prefixes, host->members,
				 host->member_count);
}

static void on_changed(void *ctx)
{
	struct ts_host *host = ctx;

	ts_table_info_from_nodes(&host->info, host->prefixes, host->members,
				 host->member_count);
	ts_host_publish(host);
	ts_conns_node_changed(host);
	ts_dgrams_node_changed(host);
	ts_broker_retry_held(host);
	ts_notify_node_changed(host);
	ts_dns_service_node_changed(host);
	ts_members_node_changed(host);
}

static int open_parts(struct ts_host *host, struct ts_node *first,
		      const struct ts_host_config *config, char err[static 256])
{
	int status;

	snprintf(err, 256, "out of memory");
	host->scratch = malloc(HOST_SCRATCH_BYTES);
	host->table = ts_table_new();
	host->ready_timer = ts_timer_new(host->loop, ts_splices_pump_ready,
					 host);
	host->changed_timer = ts_timer_new(host->loop, on_changed, host);
	host->patience_timer = ts_timer_new(host->loop, on_changed, host);
	if (!host->scratch || !host->table || !host->ready_timer ||
	    !host->changed_timer || !host->patience_timer)
		return -ENOMEM;
	ts_hurry_open(host);
	status = ts_stand_ins_open(host, config);
	if (!status)
		status = ts_dns_service_open(host, config);
	if (!status)
		status = ts_members_open(host, first, &config->first);
	if (!status)
		status = ts_loop_before_sleep(host->loop, ts_splices_pump_ready,
					      host);
	if (!status)
		status = ts_entries_open(host);
	if (!status)
		status = ts_hup_open(host);
	if (status) {
		snprintf(err, 256, "%s", ts_strerror(status));
		return status;
	}
	status = ts_rendezvous_open(host, config->never_hold, err);
	if (status)
		return status;
	ts_request_proof_open(host);
	init_info(host, config);
	status = ts_dgrams_open(host);
	if (!status)
		status = ts_tls_server_open(host);
	if (status) {
		snprintf(err, 256, "%s", ts_strerror(status));
		return status;
	}
	ts_host_publish(host);
	return ts_broker_open(host, config, err);
}

static void init_lists(struct ts_host *host)
{
	struct ts_link *heads[] = {&host->conns,   &host->inbounds,
				   &host->splices, &host->relays,
				   &host->listeners, &host->ready,
				   &host->dns_streams,
				   &host->entries.lingering};

	for (size_t i = 0; i < ARRAY_LEN(heads); i++)
		ts_list_init(heads[i]);
}

struct ts_member *ts_host_first(struct ts_host *host)
{
	return &host->members[0];
}

void ts_host_set_drop_box(struct ts_member *member, struct ts_drop_box *box)
{
	member->drop_box = box;
}

struct ts_host *ts_host_open(struct ts_loop *loop, struct ts_node *node,
			     const struct ts_host_config *config,
			     char err[static 256])
{
	struct ts_host *host = calloc(1, sizeof(*host));

	if (!host) {
		snprintf(err, 256, "out of memory");
		return NULL;
	}
	init_lists(host);
	host->loop = loop;
	host->timeout_ms = (uint64_t)config->timeout_s * 1000;
	host->in_process = config->in_process;
	host->shares_files = config->shares_files;
	host->doh = config->doh;
	host->tls_client = config->tls_client;
	host->tls_client_ctx = config->tls_client_ctx;
	host->hup.epoll_fd = -1;
	host->rv.fd4 = host->rv.fd6 = -1;
	host->rv.dummy4 = host->rv.dummy6 = -1;
	if (!host->in_process)
		raise_fd_limit();
	host->held_max = held_max();
	if (open_parts(host, node, config, err)) {
		ts_host_close(host);
		return NULL;
	}
	log_info("host: serves programs, rendezvous port %u, at most %zu held "
		 "connects", host->rv.port4, host->held_max);
	return host;
}

void ts_host_close(struct ts_host *host)
{
	if (!host)
		return;
	ts_broker_close(host);
	ts_notify_close(host);
	for (unsigned i = 0; i < host->member_count; i++)
		ts_proxy_close(&host->members[i]);
	ts_conns_close(host);
	ts_inbounds_close(host);
	ts_members_stop(host);
	ts_tls_server_close(host);
	ts_dns_streams_close(host);
	ts_listeners_close(host);
	ts_dgrams_close(host);
	ts_members_close(host);
	ts_dns_service_close(host);
	ts_rendezvous_close(host);
	if (host->table && host->entries.sweep) {
		host->is_closed = true;
		host->info.node_state = TS_STOPPED;
		ts_host_publish(host);
	}
	ts_entries_close(host);
	ts_stand_ins_close(host);
	ts_hurry_close(host);
	ts_hup_close(host);
	ts_loop_before_sleep_remove(host->loop, ts_splices_pump_ready, host);
	ts_timer_free(host->ready_timer);
	ts_timer_free(host->changed_timer);
	ts_timer_free(host->patience_timer);
	ts_timer_free(host->drain_timer);
	ts_views_close(host);
	ts_members_free(host);
	ts_table_free(host->table);
	ts_wipe(host->info.token, sizeof(host->info.token));
	free(host->scratch);
	free(host);
}

/* The node may be in the middle of something, and a map response with many
 * deltas tells many times: once, when this turn of the loop is over. */
void ts_host_state_changed(struct ts_host *host)
{
	ts_timer_set(host->changed_timer, ts_host_now_ms(host));
}

void ts_host_netmap_changed(struct ts_host *host)
{
	ts_timer_set(host->changed_timer, ts_host_now_ms(host));
}

const struct ts_table_layout *ts_host_table(const struct ts_host *host)
{
	return ts_table_layout(host->table);
}

int ts_host_table_fd(const struct ts_host *host)
{
	return ts_table_fd(host->table);
}
