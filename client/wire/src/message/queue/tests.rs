//! Golden bytes of a request about a queue, what is refused, and strategies for the round trips of all messages.

use bytes::BytesMut;
use proptest::prelude::*;

use super::super::tests::check_forged_request;
use super::super::{Builder, DecodeReason, Encoder, Request, RequestBody, ResponseBody};
use super::*;
use crate::generated::tidemill::native as fb;
use crate::ids::{QueueNameError, RequestId};
use crate::samples::{self, hex};

#[test]
fn a_queue_that_is_created_has_the_bytes_of_the_schema() {
    let settings = QueueChange { wait_s: Some(20), redrive: Some(None), ..QueueChange::default() };
    let create = CreateQueue { name: samples::queue_name("a.fifo"), settings };
    let request = Request { id: RequestId(9), body: RequestBody::CreateQueue(create) };
    let mut out = BytesMut::new();
    Encoder::new().request(&mut out, &request, 0);
    assert_eq!(out, hex(CREATE_QUEUE));
}

/// Frame lengths; root offset, vtable, table (id, type 16, offset); vtable, table (settings, name); vtable, table (receives 0, wait 20); name. Read with a
/// decoder of flatbuffers' binary rules that shares no code with the crate.
const CREATE_QUEUE: &str = "6c000000 68000000
    14000000 0000 0000 0000 0a00 1800 0c00 0700 0800 0a000000 000000 10 18000000 0900000000000000
    0000 0000 0800 0c00 0400 0800 08000000 24000000 14000000
    1000 0c00 0000 0000 0000 0400 0000 0800 10000000 14000000 00000000 06000000 612e6669666f 0000";

#[test]
fn settings_of_queues_that_contradict_themselves_or_are_unknown_are_refused() {
    let check = |args: fn(&mut Builder) -> fb::QueueSettingsArgs<'static>, expected| {
        check_forged_request(
            |b| {
                let name = Some(b.create_string("a"));
                let args = args(b);
                let settings = Some(fb::QueueSettings::create(b, &args));
                let update = fb::UpdateQueue::create(b, &fb::UpdateQueueArgs { name, settings });
                (fb::RequestBody::UpdateQueue, update.as_union_value())
            },
            expected,
        );
    };
    let alone = DecodeReason::Inconsistent("a dead-letter queue without a number of receives");
    check(
        |b| fb::QueueSettingsArgs { redrive_target: Some(b.create_string("d")), ..Default::default() },
        alone.clone(),
    );
    check(
        |b| fb::QueueSettingsArgs {
            redrive_target: Some(b.create_string("d")),
            redrive_receives_max: Some(0),
            ..Default::default()
        },
        alone,
    );
    check(
        |_| fb::QueueSettingsArgs { redrive_receives_max: Some(1), ..Default::default() },
        DecodeReason::Inconsistent("a number of receives without a dead-letter queue"),
    );
    check(
        |b| fb::QueueSettingsArgs {
            redrive_target: Some(b.create_string("d.e")),
            redrive_receives_max: Some(1),
            ..Default::default()
        },
        DecodeReason::QueueName(QueueNameError { text: "d.e".to_owned() }),
    );
    check(
        |_| fb::QueueSettingsArgs { redrive_allow: Some(fb::RedriveAllow(3)), ..Default::default() },
        DecodeReason::UnknownValue { field: "redrive allow", value: 3 },
    );
    check(
        |_| fb::QueueSettingsArgs { deduplication_scope: Some(fb::QueueOrGroup(2)), ..Default::default() },
        DecodeReason::UnknownValue { field: "deduplication scope", value: 2 },
    );
    check(
        |_| fb::QueueSettingsArgs { throughput_limit: Some(fb::QueueOrGroup(2)), ..Default::default() },
        DecodeReason::UnknownValue { field: "throughput limit", value: 2 },
    );
}

fn any_queue_name() -> impl Strategy<Value = QueueName> {
    "[a-zA-Z0-9_-]{1,75}(\\.fifo)?".prop_map(|text| samples::queue_name(&text))
}

fn any_queue_change() -> impl Strategy<Value = QueueChange> {
    let redrive =
        (any_queue_name(), 1..=u32::MAX).prop_map(|(target, receives_max)| Redrive { target, receives_max });
    let allow = prop_oneof![
        Just(Allow::All),
        Just(Allow::None),
        prop::collection::vec(any_queue_name(), 0..12).prop_map(Allow::By),
    ];
    let flags = any::<[Option<bool>; 3]>();
    let policy = prop::option::of(prop::option::of("\\PC{1,60}"));
    (
        any::<[Option<u32>; 5]>(),
        prop::option::of(prop::option::of(redrive)),
        prop::option::of(allow),
        flags,
        policy,
    )
        .prop_map(|(numbers, redrive, redrive_allow, [content_deduplication, scope, limit], policy)| {
            let [delay_s, message_bytes_max, retention_s, wait_s, visibility_s] = numbers;
            QueueChange {
                delay_s,
                message_bytes_max,
                retention_s,
                wait_s,
                visibility_s,
                redrive,
                redrive_allow,
                content_deduplication,
                scope: scope.map(|is_group| if is_group { Scope::Group } else { Scope::Queue }),
                limit: limit
                    .map(|is_group| if is_group { ThroughputLimit::Group } else { ThroughputLimit::Queue }),
                policy,
            }
        })
}

pub(in crate::message) fn any_request() -> impl Strategy<Value = RequestBody> {
    prop_oneof![
        (any_queue_name(), any_queue_change())
            .prop_map(|(name, settings)| RequestBody::CreateQueue(CreateQueue { name, settings })),
        (any_queue_name(), any_queue_change())
            .prop_map(|(name, settings)| RequestBody::UpdateQueue(UpdateQueue { name, settings })),
        any_queue_name().prop_map(RequestBody::DescribeQueue),
        any_queue_name().prop_map(RequestBody::DeleteQueue),
        ("[a-z.]{0,80}", prop::option::of(any_queue_name()), any::<u32>())
            .prop_map(|(prefix, after, limit)| RequestBody::ListQueues(ListQueues { prefix, after, limit })),
    ]
}

pub(in crate::message) fn any_response() -> impl Strategy<Value = ResponseBody> {
    let lanes = prop::collection::vec(any::<u32>().prop_map(LaneId), 0..9);
    let description = (any::<[u64; 3]>(), any_queue_name(), any_queue_change(), lanes);
    description.prop_map(|([id, created, modified], name, change, lanes)| {
        let mut settings = QueueSettings::default_of(&name);
        change.apply(&mut settings);
        let (created, modified) = (Timestamp(created), Timestamp(modified));
        ResponseBody::QueueDescription(QueueDescription {
            id: QueueId(id),
            name,
            created,
            modified,
            settings,
            lanes,
        })
    })
}
