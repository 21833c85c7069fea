//! The label values of requests: a closed list each, so that the number of series is known.

use tidemill_wire::message::{Ack, RequestBody};

macro_rules! labels {
    ($(#[doc = $type_doc:literal])+ $Type:ident { $( $(#[doc = $doc:literal])+ $Variant:ident = $word:literal, )+ }) => {
        $(#[doc = $type_doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $Type { $( $(#[doc = $doc])+ $Variant, )+ }

        impl $Type {
            /// Every one, in order.
            pub const ALL: &'static [Self] = &[ $(Self::$Variant),+ ];

            /// The label's value.
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$Variant => $word, )+ }
            }
        }
    };
}

labels! {
    /// What was asked.
    Operation {
        /// A connection's first request.
        Hello = "hello",
        /// A sign of life.
        Ping = "ping",
        /// A new stream.
        CreateStream = "create_stream",
        /// A stream's description.
        DescribeStream = "describe_stream",
        /// A page of streams.
        ListStreams = "list_streams",
        /// Other settings.
        UpdateStream = "update_stream",
        /// The end of a stream.
        DeleteStream = "delete_stream",
        /// Records in.
        Append = "append",
        /// Records out.
        Fetch = "fetch",
        /// Records out as they come.
        Subscribe = "subscribe",
        /// More room at a subscriber.
        Credit = "credit",
        /// The end of a subscription.
        Unsubscribe = "unsubscribe",
        /// Two shards of one.
        SplitShard = "split_shard",
        /// One shard of two.
        MergeShards = "merge_shards",
        /// Another number of shards.
        ScaleStream = "scale_stream",
        /// A new queue.
        CreateQueue = "create_queue",
        /// A queue's description.
        DescribeQueue = "describe_queue",
        /// A page of queues.
        ListQueues = "list_queues",
        /// Other settings of a queue.
        UpdateQueue = "update_queue",
        /// The end of a queue.
        DeleteQueue = "delete_queue",
        /// Messages in.
        SendMessages = "send_messages",
        /// Messages out.
        ReceiveMessages = "receive_messages",
        /// Messages done with.
        DeleteMessages = "delete_messages",
        /// Messages hidden for longer or shorter.
        ExtendMessages = "extend_messages",
        /// Messages out as they come.
        Consume = "consume",
        /// More room at a consumer.
        MessageCredit = "message_credit",
        /// All messages of a queue away.
        PurgeQueue = "purge_queue",
        /// How many messages a queue has.
        CountMessages = "count_messages",
        /// Messages out of a dead-letter queue.
        StartMove = "start_move",
        /// The end of that.
        CancelMove = "cancel_move",
        /// How far that is.
        ListMoves = "list_moves",
        /// Whose dead letters a queue gets.
        ListDeadLetterSources = "list_dead_letter_sources",
    }
}

labels! {
    /// Requests whose times are comparable.
    LatencyClass {
        /// Appends answered after the flush.
        AppendDurable = "append_durable",
        /// Appends answered after the write.
        AppendWritten = "append_written",
        /// Fetches that did not have to wait.
        Fetch = "fetch",
        /// Messages sent to queues, answered after the flush.
        QueueSend = "queue_send",
        /// Receives that did not have to wait.
        QueueReceive = "queue_receive",
        /// Messages deleted, or hidden for longer or shorter.
        QueueSettle = "queue_settle",
        /// Fetches and receives that waited, their wait included.
        FetchWaited = "fetch_waited",
        /// Requests about streams and queues as such.
        Catalog = "catalog",
        /// Everything else.
        Session = "session",
    }
}

impl Operation {
    /// What a request asks.
    pub fn of(body: &RequestBody) -> Self {
        match body {
            RequestBody::Hello(_) => Self::Hello,
            RequestBody::Ping => Self::Ping,
            RequestBody::CreateStream(_) => Self::CreateStream,
            RequestBody::DescribeStream(_) => Self::DescribeStream,
            RequestBody::ListStreams(_) => Self::ListStreams,
            RequestBody::UpdateStream(_) => Self::UpdateStream,
            RequestBody::DeleteStream(_) => Self::DeleteStream,
            RequestBody::Append(_) => Self::Append,
            RequestBody::Fetch(_) => Self::Fetch,
            RequestBody::Subscribe(_) => Self::Subscribe,
            RequestBody::Credit { .. } => Self::Credit,
            RequestBody::Unsubscribe { .. } => Self::Unsubscribe,
            RequestBody::SplitShard(_) => Self::SplitShard,
            RequestBody::MergeShards(_) => Self::MergeShards,
            RequestBody::ScaleStream(_) => Self::ScaleStream,
            RequestBody::CreateQueue(_) => Self::CreateQueue,
            RequestBody::DescribeQueue(_) => Self::DescribeQueue,
            RequestBody::ListQueues(_) => Self::ListQueues,
            RequestBody::UpdateQueue(_) => Self::UpdateQueue,
            RequestBody::DeleteQueue(_) => Self::DeleteQueue,
            RequestBody::SendMessages(_) => Self::SendMessages,
            RequestBody::ReceiveMessages(_) => Self::ReceiveMessages,
            RequestBody::DeleteMessages(_) => Self::DeleteMessages,
            RequestBody::ExtendMessages(_) => Self::ExtendMessages,
            RequestBody::Consume(_) => Self::Consume,
            RequestBody::MessageCredit(_) => Self::MessageCredit,
            RequestBody::PurgeQueue(_) => Self::PurgeQueue,
            RequestBody::CountMessages(_) => Self::CountMessages,
            RequestBody::StartMove(_) => Self::StartMove,
            RequestBody::CancelMove { .. } => Self::CancelMove,
            RequestBody::ListMoves(_) => Self::ListMoves,
            RequestBody::ListDeadLetterSources(_) => Self::ListDeadLetterSources,
        }
    }
}

impl LatencyClass {
    /// The class of a request that did not have to wait for records.
    pub fn of(body: &RequestBody) -> Self {
        match body {
            RequestBody::Append(append) => match append.ack {
                Ack::Durable => Self::AppendDurable,
                Ack::Written => Self::AppendWritten,
            },
            RequestBody::Fetch(_) => Self::Fetch,
            RequestBody::CreateStream(_)
            | RequestBody::DescribeStream(_)
            | RequestBody::ListStreams(_)
            | RequestBody::UpdateStream(_)
            | RequestBody::DeleteStream(_)
            | RequestBody::SplitShard(_)
            | RequestBody::MergeShards(_)
            | RequestBody::ScaleStream(_)
            | RequestBody::CreateQueue(_)
            | RequestBody::DescribeQueue(_)
            | RequestBody::ListQueues(_)
            | RequestBody::UpdateQueue(_)
            | RequestBody::DeleteQueue(_)
            | RequestBody::PurgeQueue(_)
            | RequestBody::CountMessages(_)
            | RequestBody::StartMove(_)
            | RequestBody::CancelMove { .. }
            | RequestBody::ListMoves(_)
            | RequestBody::ListDeadLetterSources(_) => Self::Catalog,
            RequestBody::SendMessages(_) => Self::QueueSend,
            RequestBody::ReceiveMessages(_) => Self::QueueReceive,
            RequestBody::DeleteMessages(_) | RequestBody::ExtendMessages(_) => Self::QueueSettle,
            RequestBody::Hello(_)
            | RequestBody::Ping
            | RequestBody::Subscribe(_)
            | RequestBody::Credit { .. }
            | RequestBody::Consume(_)
            | RequestBody::MessageCredit(_)
            | RequestBody::Unsubscribe { .. } => Self::Session,
        }
    }
}
