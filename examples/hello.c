/* SPDX-License-Identifier: BSD-3-Clause
 * hello.c - join a tailnet from C and say who we are
 *
 *	cc hello.c -ltsnet -o hello && TS_AUTHKEY=tskey-auth-... ./hello
 */
#include <stdio.h>

#include "tsnet.h"

int main(void)
{
	struct tsnet *ts = tsnet_new();
	char v4[64], v6[64];
	int status = 1;

	if (!ts)
		return 1;
	if (tsnet_set(ts, "hostname", "hello") != 0 || tsnet_up(ts, 60) != 0 ||
	    tsnet_ips(ts, v4, v6, sizeof(v4)) != 0) {
		fprintf(stderr, "hello: %s\n", tsnet_errmsg(ts));
	} else {
		printf("hello, I am %s and %s\n", v4, v6);
		printf("tailscale --socket=%s status\n", tsnet_localapi(ts));
		status = 0;
	}
	tsnet_close(ts);
	return status;
}
