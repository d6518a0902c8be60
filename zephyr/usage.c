/* SPDX-License-Identifier: Apache-2.0 */

/*
 * How much of the network stack's and of the kernel's memory is in use, for src/zephyr/usage.rs.
 */

#include <string.h>

#include <zephyr/kernel.h>
#include <zephyr/net/net_context.h>
#include <zephyr/net/net_pkt.h>
#include <zephyr/net_buf.h>
#include <zephyr/sys/mem_stats.h>
#include <zephyr/sys/sys_heap.h>

/* src/zephyr/usage.rs has the same fields. */
struct rust_websocket_usage {
	/* In use, of how many there are. 0 of 0 where the stack has none or does not count. */
	uint32_t rx_packets[2];
	uint32_t tx_packets[2];
	uint32_t rx_buffers[2];
	uint32_t tx_buffers[2];
	uint32_t contexts[2];
	/* Bytes of the kernel's heap. */
	uint32_t heap[2];
};

#if defined(CONFIG_NET_NATIVE)
static void count_slab(struct k_mem_slab *slab, uint32_t counts[2])
{
	counts[0] = k_mem_slab_num_used_get(slab);
	counts[1] = counts[0] + k_mem_slab_num_free_get(slab);
}

static void count_pool(struct net_buf_pool *pool, uint32_t counts[2])
{
#if defined(CONFIG_NET_BUF_POOL_USAGE)
	counts[0] = pool->buf_count - atomic_get(&pool->avail_count);
	counts[1] = pool->buf_count;
#endif
}

static void count_context(struct net_context *context, void *user_data)
{
	uint32_t *count = user_data;

	ARG_UNUSED(context);
	(*count)++;
}
#endif

void rust_websocket_usage(struct rust_websocket_usage *usage)
{
	memset(usage, 0, sizeof(*usage));

#if defined(CONFIG_NET_NATIVE)
	struct k_mem_slab *rx, *tx;
	struct net_buf_pool *rx_data, *tx_data;

	net_pkt_get_info(&rx, &tx, &rx_data, &tx_data);
	count_slab(rx, usage->rx_packets);
	count_slab(tx, usage->tx_packets);
	count_pool(rx_data, usage->rx_buffers);
	count_pool(tx_data, usage->tx_buffers);
	net_context_foreach(count_context, &usage->contexts[0]);
	usage->contexts[1] = CONFIG_NET_MAX_CONTEXTS;
#endif

#if defined(CONFIG_SYS_HEAP_RUNTIME_STATS) && K_HEAP_MEM_POOL_SIZE > 0
	extern struct k_heap _system_heap;
	struct sys_memory_stats stats;

	if (sys_heap_runtime_stats_get(&_system_heap.heap, &stats) == 0) {
		usage->heap[0] = stats.allocated_bytes;
		usage->heap[1] = stats.allocated_bytes + stats.free_bytes;
	}
#endif
}
