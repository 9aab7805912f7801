/* SPDX-License-Identifier: BSD-3-Clause
 * serve_funnel.c - connections from the internet, brought by an ingress
 *
 * A program's listener that takes such ones comes first, then the serve
 * configuration. Without an entry of AllowFunnel for the very name and port
 * nothing comes in, whoever listens.
 * Source: ipn/ipnlocal/serve.go (HandleIngressTCPConn), tsnet/tsnet.go
 *   (getTCPHandlerForFunnelFlow)
 */
#include "core/host/serve_internal.h"
#include "core/serve/funnel_rule.h"

/* As if it came to our address of the client's family. */
static struct ts_addr local_of(const struct ts_member *member,
			       const struct ts_serve_funnel *funnel)
{
	bool v6 = !ts_ip_is_v4(&funnel->src.ip);

	return (struct ts_addr){.ip = ts_node_ip(member->node, v6),
				.port = funnel->port};
}

static bool has_listener(const struct ts_member *member,
			 const struct ts_addr *local)
{
	const struct ts_listener *l =
		ts_ip_is_zero(&local->ip)
			? NULL : ts_listener_for(member, IPPROTO_TCP, local);

	return l && l->funnel != TS_FUNNEL_NONE;
}

/* Plain HTTP is nothing for what is TLS. */
static bool find_tcp(const struct ts_member *member,
		     const struct ts_serve_funnel *funnel,
		     struct ts_serve_tcp *out)
{
	return ts_serve_find_tcp(ts_node_serve(member->node), NULL,
				 funnel->port, out) &&
	       (out->https || (out->forward && !out->http));
}

bool ts_serve_takes_funnel(const struct ts_member *member,
			   const struct ts_serve_funnel *funnel)
{
	const struct ts_addr local = local_of(member, funnel);
	struct ts_serve_tcp tcp;

	return ts_serve_lets_funnel(ts_node_serve(member->node),
				    funnel->target) &&
	       (has_listener(member, &local) ||
		find_tcp(member, funnel, &tcp));
}

void ts_serve_funnel(struct ts_member *member, struct stack_tcp *up,
		     const struct ts_serve_funnel *funnel)
{
	const struct ts_addr local = local_of(member, funnel);
	struct ts_serve_tcp tcp;

	if (has_listener(member, &local))
		ts_inbound_from_funnel(member, up, &local, &funnel->src);
	else if (!find_tcp(member, funnel, &tcp))
		stack_tcp_abort(up);
	else if (tcp.https)
		serve_web_funnel(member, up, &funnel->src, &funnel->peer,
				 funnel->port);
	else
		serve_forward_tcp(member, up, &funnel->src, &funnel->peer,
				  &tcp);
}
