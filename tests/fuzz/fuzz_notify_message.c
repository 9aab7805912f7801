/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_notify_message.c - a message in a hostile program's memory
 *
 * The input is a message header and the memory that begins at MEMORY_AT; what
 * lies elsewhere is not there, and every other read changes a byte, as a second
 * thread of the program would.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/host/notify_message.h"

enum { MEMORY_AT = 0x1000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct {
	uint8_t *bytes;
	size_t len;
	unsigned reads;
} memory;

static bool is_there(uint64_t at, size_t len)
{
	return at >= MEMORY_AT && at - MEMORY_AT <= memory.len &&
	       len <= memory.len - (at - MEMORY_AT);
}

/* In place of notify_target.c's. */
int ts_notify_read(const struct notify_call *call, uint64_t at, void *out,
		   size_t len)
{
	(void)call;
	if (!is_there(at, len))
		return -EFAULT;
	if (len > 0)
		memcpy(out, memory.bytes + (at - MEMORY_AT), len);
	if (memory.len > 0 && memory.reads++ % 2)
		memory.bytes[memory.reads % memory.len]++;
	return 0;
}

int ts_notify_write(const struct notify_call *call, uint64_t at,
		    const void *data, size_t len)
{
	(void)call;
	if (!is_there(at, len))
		return -EFAULT;
	if (len > 0)
		memcpy(memory.bytes + (at - MEMORY_AT), data, len);
	return 0;
}

static void send_and_receive(struct notify_room *room, size_t cut)
{
	struct notify_call call = {.tree = NULL};
	ssize_t len;

	if (cut % 2)
		ts_notify_room_cut(room);
	len = ts_notify_gather(&call, room);
	if (len >= NOTIFY_DATAGRAM_CAP)
		abort();
	if (room->data_cap > NOTIFY_DATAGRAM_CAP)
		abort();
	(void)ts_notify_scatter(&call, room, room->data_cap);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct notify_call call = {.tree = NULL};
	struct notify_room *room = calloc(1, sizeof(*room));
	struct notify_msghdr head;

	if (!room)
		abort();
	if (len >= sizeof(head)) {
		memcpy(&head, data, sizeof(head));
		memory.len = len - sizeof(head);
		memory.bytes = malloc(memory.len + 1);
		if (!memory.bytes)
			abort();
		memcpy(memory.bytes, data + sizeof(head), memory.len);
		if (ts_notify_room_vector(&call, room, &head) == 0)
			send_and_receive(room, (size_t)head.flags);
		ts_notify_room_plain(room, head.iov, head.iov_len);
		send_and_receive(room, (size_t)head.flags);
		free(memory.bytes);
	}
	free(room);
	return 0;
}
