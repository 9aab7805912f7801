/* SPDX-License-Identifier: BSD-3-Clause
 * hup_watch.c - hear ERR and HUP of sockets that nobody reads now
 *
 * A nested epoll, for two reasons. The loop's watches report errors only
 * with readiness, and a socket that waits for the other side's window wants
 * no readiness. And duplicates of a program's socket must leave an epoll by
 * EPOLL_CTL_DEL: closing the duplicate does not remove it while the program
 * has the socket open, and libev, which counts on close(), would rebuild its
 * whole set for each stale event.
 *
 * Edge-triggered and without any event asked for, so only ERR and HUP come,
 * once each (and the peer's FIN, for HUP_OR_EOF).
 */
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "core/host/host_internal.h"

static void on_epoll(void *ctx, unsigned events)
{
	struct ts_host *host = ctx;
	struct ts_hup *hup = &host->hup;
	struct epoll_event got[HOST_HUP_BATCH];
	int n = epoll_wait(hup->epoll_fd, got, HOST_HUP_BATCH, 0);

	(void)events;
	if (n <= 0)
		return;
	for (int i = 0; i < n; i++)
		hup->batch[i] = got[i].data.ptr;
	hup->batch_len = n;
	for (int i = 0; i < n; i++)
		if (hup->batch[i]) /* else removed by one before it */
			hup->batch[i]->fn(hup->batch[i]->ctx);
	hup->batch_len = 0;
}

int ts_hup_open(struct ts_host *host)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);

	if (fd < 0)
		return -errno;
	host->hup.epoll_fd = ts_sock_keep(host, fd);
	host->hup.watch = ts_watch_new(host->loop, host->hup.epoll_fd,
				       TS_READABLE, on_epoll, host);
	return host->hup.watch ? 0 : -ENOMEM;
}

void ts_hup_close(struct ts_host *host)
{
	ts_watch_free(host->hup.watch);
	ts_sock_close(host->hup.epoll_fd);
	host->hup.watch = NULL;
	host->hup.epoll_fd = -1;
}

int ts_hup_add(struct ts_host *host, struct ts_hup_item *item, int fd,
	       enum ts_hup_kind kind)
{
	struct epoll_event want = {.events = EPOLLET, .data.ptr = item};

	if (kind == HUP_OR_EOF)
		want.events |= EPOLLRDHUP;
	if (epoll_ctl(host->hup.epoll_fd, EPOLL_CTL_ADD, fd, &want))
		return -errno;
	item->fd = fd;
	return 0;
}

void ts_hup_remove(struct ts_host *host, struct ts_hup_item *item)
{
	struct ts_hup *hup = &host->hup;

	if (item->fd < 0)
		return;
	epoll_ctl(hup->epoll_fd, EPOLL_CTL_DEL, item->fd, NULL);
	item->fd = -1;
	for (int i = 0; i < hup->batch_len; i++)
		if (hup->batch[i] == item)
			hup->batch[i] = NULL;
}
