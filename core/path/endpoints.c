/* SPDX-License-Identifier: BSD-3-Clause
 * endpoints.c - at which addresses peers may reach us
 */
#include "core/path/endpoints.h"

#include <string.h>

static bool is_listed(const struct ts_endpoints *e, const struct ts_addr *addr)
{
	for (size_t i = 0; i < e->count; i++)
		if (ts_addr_equal(&e->addrs[i], addr))
			return true;
	return false;
}

static void list(struct ts_endpoints *e, const struct ts_addr *addr,
		 enum ts_endpoint_type type)
{
	if (is_listed(e, addr))
		return;
	e->addrs[e->count] = *addr;
	e->types[e->count] = (int)type;
	e->count++;
}

/* Makes the outcome anew; true when it is another one. */
static bool update(struct ts_endpoints *e)
{
	struct ts_addr old[ENDPOINTS_MAX];
	int old_types[ENDPOINTS_MAX];
	size_t old_count = e->count;

	memcpy(old, e->addrs, old_count * sizeof(*old));
	memcpy(old_types, e->types, old_count * sizeof(*old_types));
	e->count = 0;
	if (e->is_checked && e->port_mapping.port != 0)
		list(e, &e->port_mapping, TS_ENDPOINT_PORT_MAPPED);
	for (size_t i = 0; e->is_checked && i < e->stun_count; i++)
		list(e, &e->stun[i].addr, TS_ENDPOINT_STUN);
	if (e->is_checked && e->guess.port != 0)
		list(e, &e->guess, TS_ENDPOINT_STUN_LOCAL_PORT);
	for (size_t i = 0; e->is_checked && i < e->fixed_count; i++)
		list(e, &e->fixed[i], TS_ENDPOINT_STATIC);
	for (size_t i = 0; e->is_checked && i < e->local_count; i++)
		list(e, &e->local[i], TS_ENDPOINT_LOCAL);
	return e->count != old_count ||
	       memcmp(old, e->addrs, old_count * sizeof(*old)) != 0 ||
	       memcmp(old_types, e->types, old_count * sizeof(*old_types)) != 0;
}

/* Of no use to others. The host's own tailnet address would tunnel one
 * tailnet through another. */
static bool is_publishable(const struct ts_addr *addr)
{
	return addr->port != 0 && !ts_ip_is_unspecified(&addr->ip) &&
	       !ts_ip_is_multicast(&addr->ip) && !ts_ip_is_tailscale(&addr->ip);
}

bool ts_endpoints_set_local(struct ts_endpoints *e, const struct ts_addr *addrs,
			    size_t count)
{
	e->local_count = 0;
	for (size_t i = 0; i < count && e->local_count < ENDPOINTS_LOCAL_MAX;
	     i++)
		if (is_publishable(&addrs[i]))
			e->local[e->local_count++] = addrs[i];
	return update(e);
}

void ts_endpoints_set_static(struct ts_endpoints *e,
			     const struct ts_addr *addrs, size_t count)
{
	e->fixed_count = 0;
	for (size_t i = 0; i < count && e->fixed_count < ENDPOINTS_STATIC_MAX;
	     i++)
		if (is_publishable(&addrs[i]))
			e->fixed[e->fixed_count++] = addrs[i];
	update(e);
}

bool ts_endpoints_set_guess(struct ts_endpoints *e, const struct ts_addr *addr)
{
	e->guess = addr && is_publishable(addr) ? *addr : (struct ts_addr){0};
	return update(e);
}

bool ts_endpoints_set_port_mapping(struct ts_endpoints *e,
				   const struct ts_addr *addr)
{
	e->port_mapping = addr && is_publishable(addr) ? *addr
						       : (struct ts_addr){0};
	return update(e);
}

static void remove_stun(struct ts_endpoints *e, size_t i)
{
	e->stun_count--;
	memmove(&e->stun[i], &e->stun[i + 1],
		(e->stun_count - i) * sizeof(*e->stun));
}

/* To the front: what was seen last is the best. */
static void note_seen(struct ts_endpoints *e, const struct ts_addr *addr,
		      uint64_t now_ms)
{
	size_t i = 0;

	while (i < e->stun_count && !ts_addr_equal(&e->stun[i].addr, addr))
		i++;
	if (i == ENDPOINTS_STUN_MAX)
		i--;
	if (i < e->stun_count)
		remove_stun(e, i);
	memmove(&e->stun[1], &e->stun[0], e->stun_count * sizeof(*e->stun));
	e->stun[0] =
		(struct ts_stun_endpoint){.addr = *addr, .seen_ms = now_ms};
	e->stun_count++;
}

bool ts_endpoints_checked(struct ts_endpoints *e, const struct ts_addr *seen,
			  size_t count, uint64_t now_ms)
{
	for (size_t i = count; i > 0; i--)
		note_seen(e, &seen[i - 1], now_ms);
	for (size_t i = e->stun_count; i > 0; i--)
		if (e->stun[i - 1].seen_ms + ENDPOINTS_STUN_KEEP_MS < now_ms)
			remove_stun(e, i - 1);
	e->is_checked = true;
	e->fresh_until_ms = now_ms + ENDPOINTS_FRESH_MS;
	return update(e);
}

void ts_endpoints_network_changed(struct ts_endpoints *e)
{
	e->stun_count = 0;
	e->fresh_until_ms = 0;
}
