/* SPDX-License-Identifier: BSD-3-Clause
 * hook_names_async.c - getaddrinfo_a
 *
 * glibc's threads look names up inside libc, where no hook is. So names that
 * the node knows are taken out of the list and answered here, before libc gets
 * the rest: the node answers from memory, and waits only while it does not know
 * yet who it is, or while it asks the tailnet's resolvers (then the call takes
 * as long, also with GAI_NOWAIT). Notifications are libc's business in every
 * case: when nothing is left for it to look up, it gets a request that fails at
 * once, and notifies.
 */
#include <netdb.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "shim/hooks.h"
#include "shim/libc_table.h"
#include "shim/name_ask.h"
#include "shim/shim.h"

#ifdef __GLIBC__

/* Was it the node's to answer? */
static bool take(struct gaicb *request)
{
	struct addrinfo *found = NULL;
	bool is_ours = false;
	int err = 0;

	if (request)
		err = shim_getaddrinfo(request->ar_name, request->ar_service,
				       request->ar_request, &found, &is_ours);
	if (!is_ours)
		return false;
	request->ar_result = found;
	request->__return = err;
	return true;
}

/* Answers those that are ours; what is left for libc goes to rest. */
static int take_ours(struct gaicb **list, int count, struct gaicb **rest)
{
	int left = 0;

	for (int i = 0; i < count; i++)
		if (!take(list[i]))
			rest[left++] = list[i];
	return left;
}

static int notify(struct sigevent *event)
{
	static const struct addrinfo no_lookup = {.ai_flags = AI_NUMERICHOST};
	struct gaicb *list[] = {&shim.nothing_to_look_up};

	if (!event || event->sigev_notify == SIGEV_NONE)
		return 0;
	shim.nothing_to_look_up.ar_name = "no address";
	shim.nothing_to_look_up.ar_request = &no_lookup;
	return libc.getaddrinfo_a(GAI_NOWAIT, list, 1, event);
}

int hook_getaddrinfo_a(int mode, struct gaicb **list, int count,
		       struct sigevent *event)
{
	int saved_errno = errno;
	struct gaicb **rest;
	int left, ret;

	shim_libc_ready();
	if (!libc.getaddrinfo_a)
		shim_libc_look_up_late();
	if (!libc.getaddrinfo_a)
		return EAI_SYSTEM;
	if (count <= 0 || !list || shim_resolves_natively() ||
	    (mode != GAI_WAIT && mode != GAI_NOWAIT))
		return libc.getaddrinfo_a(mode, list, count, event);
	rest = calloc((size_t)count, sizeof(struct gaicb *));
	if (!rest)
		return EAI_MEMORY;
	left = take_ours(list, count, rest);
	errno = saved_errno;
	if (left > 0)
		ret = libc.getaddrinfo_a(mode, rest, left, event);
	else
		ret = mode == GAI_NOWAIT ? notify(event) : 0;
	free(rest);
	return ret;
}

#endif
