"""The search: every state that storage, queues and processes can come into, breadth first.

A state is (store, messages, processes, budget), each a tuple of small numbers: what a number stands for is kept once,
in `Explorer.things`. A process is a generator that is run again from its start with the answers it has had, so that its
state is its name, its arguments and those answers. Two reductions are used, both sound: an ETag is only kept as
"still the current one" (a write by anyone takes it from all who hold it); and the delivery of a message and the first
request of its process are one step, as is a request and a following read of what never changes in the scenario, since
nothing that others do between the two can differ for anyone.
"""

from __future__ import annotations

import gc
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.model import processes
from tests.model.operations import Operation, StorageError, Then
from tests.model.state import CHANGES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.model.scenarios import Action, Scenario, Starter

type Store = tuple[int, ...]
type State = tuple[Store, tuple[int, ...], tuple[int, ...], tuple[int, ...]]

type Label = tuple[str, int, str]

FAILED = "failed"
DONE, RAISED = -1, -2
NOTHING: frozenset[str] = frozenset()
FAULTS = ("crash", "lose", "double", "error", "poison")
"""Budgets of what goes wrong: a process that ends anywhere, a message that is lost, one that is delivered twice, a
request that fails or whose answer is lost, a message that becomes poison."""
TABLES = ("row:", "start-rows")
HANDLERS = {"events": "intake", "chunks": "worker", "callbacks": "callback"}


class Process(NamedTuple):
    """A process at work: what it runs, what it was answered, the ETags that are current, the message it took."""

    name: str
    arguments: tuple[Any, ...]
    answers: tuple[Any, ...]
    etags: frozenset[str]
    message: tuple[str, tuple[Any, ...]] | None


class Result(NamedTuple):
    """What exploring a scenario found."""

    states: int
    quiet: int
    fault: str | None
    trace: tuple[str, ...]


class Explorer:
    """Explore one scenario, with all rules or without some of them."""

    def __init__(self, scenario: Scenario, without: frozenset[str] = frozenset()) -> None:
        self.scenario = scenario
        self.without = without
        self.things: list[Any] = []
        self._numbers: dict[Any, int] = {}
        self._next: dict[int, Operation | str] = {}
        self._after: dict[tuple[int, Any, frozenset[str]], int] = {}
        self._settled: dict[tuple[Store, tuple[int, ...]], str | None] = {}
        self._stores: dict[Store, str | None] = {}
        self.none = self.number(None)
        self.budgets = tuple(scenario.budget)
        changing = {key for action in scenario.actions for key, _ in action.sets}
        self.constant = {key for key in scenario.all_keys() if key.startswith(("source:", "late"))} - changing
        self.keys = {key: at for at, key in enumerate(scenario.all_keys())}

    def number(self, thing: Any) -> int:
        """The number that stands for this thing."""
        known = self._numbers.get(thing)
        if known is None:
            known = self._numbers[thing] = len(self.things)
            self.things.append(thing)
        return known

    def get(self, store: Store, key: str) -> Any:
        """What is stored under a key."""
        return self.things[store[self.keys[key]]]

    def set(self, store: Store, key: str, value: Any) -> Store:
        """The store with this value under the key."""
        at = self.keys[key]
        return (*store[:at], self.number(value), *store[at + 1 :])

    def explore(self) -> Result:
        """Search breadth first, to the end or to the first fault, to which the trace is then a shortest one."""
        gc.disable()  # no state is garbage, and to look at them all again and again takes half of the time
        try:
            return self._search()
        finally:
            gc.enable()

    def _search(self) -> Result:
        start = self.start()
        parents: dict[State, State | None] = {start: None}
        queue, quiet = deque([start]), 0
        while queue:
            state = queue.popleft()
            is_quiet = not state[2] and self.is_quiet(state[1])
            quiet += is_quiet
            fault = self.fault(state, is_quiet)
            if fault:
                return Result(len(parents), quiet, fault, self._trace(parents, state))
            for _, new in self.steps(state):
                if new not in parents:
                    parents[new] = state
                    queue.append(new)
        return Result(len(parents), quiet, None, ())

    def start(self) -> State:
        """The first state of the scenario."""
        store: Store = (self.none,) * len(self.keys)
        for key, value in self.scenario.stored:
            store = self.set(store, key, value)
        messages = tuple(sorted(self.number(m) for m in self.scenario.messages))
        return store, messages, (), tuple(self.scenario.budget.values())

    def is_quiet(self, messages: tuple[int, ...]) -> bool:
        """Whether no message waits to be delivered."""
        return not any(self.things[m][0] in self.scenario.queues for m in messages)

    def fault(self, state: State, is_quiet: bool) -> str | None:
        """What is wrong with a state, if anything: in its store at any time, or in what becomes of it in peace."""
        store, messages, running, _ = state
        if store not in self._stores:
            self._stores[store] = self.scenario.wrong(self.view(store), self.without)
        if self._stores[store] or running:
            return self._stores[store]
        if is_quiet:
            return self.settle(store, messages)
        if self.scenario.copies_without_table and self.get(store, "table away"):
            return self.settle(store, messages, table_stays_away=True)
        return None

    def view(self, store: Store) -> Callable[[str], Any]:
        """The store as a function from key to value."""
        return lambda key: self.get(store, key) if key in self.keys else None

    # What comes next

    def steps(self, state: State) -> Iterator[tuple[Label, State]]:
        """Yield every state that can follow, each with the name of the step."""
        store, messages, running, budget = state
        if len(running) < self.scenario.at_once:
            yield from self._deliveries(state)
            for starter in self.scenario.starters:
                spent = self._spend(budget, starter.budget)
                if spent and self._may_start(starter, store):
                    process = self._started(starter, budget[self.budgets.index(starter.budget)])
                    yield from self._run((store, messages, running, spent), process, "begins: ")
        yield from self._losses(state)
        for at, number in enumerate(running):
            if at and running[at - 1] == number:
                continue
            others = running[:at] + running[at + 1 :]
            yield from self._run((store, messages, others, budget), number)
            spent = self._spend(budget, "crash")
            if spent:
                returned = self._returned(messages, self.things[number])
                yield ("crash before: ", number, ""), (store, returned, others, spent)
        for action in self.scenario.actions:
            if not action.asked and self._may_act(store, action):
                changed, sent = self._act(store, messages, action)
                yield (action.name, 0, ""), (changed, sent, self._without_etags(running, dict(action.sets)), budget)

    def _deliveries(self, state: State) -> Iterator[tuple[Label, State]]:
        store, messages, running, budget = state
        for number in dict.fromkeys(messages):
            queue, message = self.things[number]
            if queue == "poison":
                spent = self._spend(budget, "sweep")
                if spent:
                    begun = self._begun("sweep_poison", message, None)
                    yield from self._run((store, messages, running, spent), begun, "begins: ")
                continue
            if queue not in self.scenario.queues:
                continue
            process = self._begun(HANDLERS[queue], message, (queue, message))
            rest = self._less(messages, number)
            yield from self._run((store, rest, running, budget), process, "delivered: ")
            spent = self._spend(budget, "double")
            if spent:
                yield from self._run((store, messages, running, spent), process, "delivered, and again later: ")

    def _losses(self, state: State) -> Iterator[tuple[Label, State]]:
        store, messages, running, budget = state
        for number in dict.fromkeys(messages):
            queue, message = self.things[number]
            spent = self._spend(budget, "lose")
            if spent and self.scenario.may_be_lost(queue, message, self.view(store)):
                yield (f"{queue} message {message} lost", 0, ""), (store, self._less(messages, number), running, spent)
            spent = self._spend(budget, "poison")
            if spent and queue == "events":
                moved = self._more(self._less(messages, number), "poison", message)
                yield (f"{queue} message {message} becomes poison", 0, ""), (store, moved, running, spent)

    def _run(self, state: State, number: int, prefix: str = "") -> Iterator[tuple[Label, State]]:
        """Yield what the next request of a process leads to: done, failed, or done with its answer lost."""
        store, messages, others, budget = state
        operation = self._operation(number)
        if not isinstance(operation, Operation):
            yield (prefix, number, " has nothing to do"), (store, messages, others, budget)
            return
        if self.get(store, "table away") and operation.key.startswith(TABLES):
            yield (prefix, number, " -> the table is away"), self._answered(state, number, FAILED, NOTHING)
            return
        done, sent, answer, written = self._apply(store, messages, self.things[number], operation)
        yield (prefix, number, ""), self._answered((done, sent, others, budget), number, answer, written)
        spent = self._spend(budget, "error")
        if spent:
            failed = self._answered((store, messages, others, spent), number, FAILED, NOTHING)
            yield (prefix, number, " -> fails"), failed
            if written or sent != messages:
                lost = self._answered((done, sent, others, spent), number, FAILED, written)
                yield (prefix, number, " -> done, its answer lost"), lost

    def _answered(self, state: State, number: int, answer: Any, written: frozenset[str]) -> State:
        """The state after a process got an answer to its request, and the request changed what is `written`."""
        store, messages, others, budget = state
        key = (number, answer, written)
        after = self._after.get(key)
        if after is None:
            after = self._after[key] = self._following(number, answer, written, store)
        if written:
            others = self._without_etags(others, written)
        if after == RAISED:
            messages = self._returned(messages, self.things[number])
        elif after != DONE:
            others = tuple(sorted((*others, after)))
        return store, messages, others, budget

    def _following(self, number: int, answer: Any, written: frozenset[str], store: Store) -> int:
        """The process after an answer, and after what never changes was read too; DONE or RAISED where it ends."""
        process: Process = self.things[number]
        operation = self._operation(number)
        etags = process.etags
        if answer == FAILED:
            etags -= written
        elif isinstance(operation, Operation) and operation.kind == "read-etag":
            etags = etags - {operation.key} if answer is None else etags | {operation.key}
        while True:
            process = process._replace(answers=(*process.answers, answer), etags=etags)
            after = self._replay(process)
            if isinstance(after, Process):
                process, etags, after = after, after.etags, self._replay(after)
            if not isinstance(after, Operation):
                return RAISED if after == "raised" else DONE
            if after.key not in self.constant:
                return self.number(process)
            answer = self.get(store, after.key)

    def _operation(self, number: int) -> Operation | str:
        """The next request of a process, "done" or "raised"."""
        if number not in self._next:
            after = self._replay(self.things[number])
            if isinstance(after, Process):
                raise AssertionError("a process goes on as another one only after an answer")
            self._next[number] = after
        return self._next[number]

    def _replay(self, process: Process) -> Operation | str | Process:
        program = processes.PROCESSES[process.name](self.without, *process.arguments)
        try:
            operation = next(program)
            for answer in process.answers:
                operation = program.throw(StorageError()) if answer == FAILED else program.send(answer)
        except StorageError:
            return "raised"
        except StopIteration as stop:
            then: Then | None = stop.value
            if then is None:
                return "done"
            following = Process(then.process, then.arguments, (), NOTHING, process.message)
            further = self._replay(following)
            return following if isinstance(further, Operation) else further
        return operation

    def _apply(
        self, store: Store, messages: tuple[int, ...], process: Process, operation: Operation
    ) -> tuple[Store, tuple[int, ...], Any, frozenset[str]]:
        kind, key, value = operation
        match kind:
            case "read" | "read-etag":
                return store, messages, self.get(store, key), NOTHING
            case "send":
                return store, self._more(messages, key, value), True, NOTHING
            case "drop":
                number = self.number((key, value))
                return store, self._less(messages, number) if number in messages else messages, True, NOTHING
            case "ask":
                action = next(a for a in self.scenario.actions if a.name == key)
                if self._may_act(store, action):
                    store, messages = self._act(store, messages, action)
                return store, messages, action.result, frozenset(key for key, _ in action.sets)
            case "batch":
                written = NOTHING
                for each in value:
                    store, messages, _, more = self._apply(store, messages, process, each)
                    written |= more
                return store, messages, True, written
        return self._write(store, messages, process, operation)

    def _write(
        self, store: Store, messages: tuple[int, ...], process: Process, operation: Operation
    ) -> tuple[Store, tuple[int, ...], Any, frozenset[str]]:
        kind, key, value = operation
        there = self.get(store, key)
        refused = (kind == "create" and there is not None) or (kind == "replace" and key not in process.etags)
        if refused:
            return store, messages, False, frozenset()
        if kind == "merge":
            value = CHANGES[value[0]](there, value[1])
        if key.startswith("blob:") and there is not None and value != there:
            store = self.set(store, "overwritten", key)
        return self.set(store, key, value), messages, True, frozenset({key})

    # Small parts

    def _spend(self, budget: tuple[int, ...], name: str) -> tuple[int, ...] | None:
        if name not in self.budgets:
            return None
        at = self.budgets.index(name)
        return (*budget[:at], budget[at] - 1, *budget[at + 1 :]) if budget[at] else None

    def _less(self, messages: tuple[int, ...], number: int) -> tuple[int, ...]:
        at = messages.index(number)
        return messages[:at] + messages[at + 1 :]

    def _more(self, messages: tuple[int, ...], queue: str, message: tuple[Any, ...]) -> tuple[int, ...]:
        return tuple(sorted((*messages, self.number((queue, message)))))

    def _returned(self, messages: tuple[int, ...], process: Process) -> tuple[int, ...]:
        """The queue after a process ended without finishing: its message is seen again, but for a callback's."""
        if process.message is None or process.message[0] == "callbacks":
            return messages
        return self._more(messages, *process.message)

    def _without_etags(self, running: tuple[int, ...], written: frozenset[str] | dict[str, Any]) -> tuple[int, ...]:
        return tuple(
            sorted(
                self.number(p._replace(etags=p.etags.difference(written))) if p.etags.intersection(written) else n
                for n, p in ((n, self.things[n]) for n in running)
            )
        )

    def _may_start(self, starter: Starter, store: Store) -> bool:
        return starter.needs is None or self.get(store, starter.needs) is not None

    def _started(self, starter: Starter, ident: int | str) -> int:
        arguments = (*starter.arguments, ident) if starter.with_id else starter.arguments
        return self._begun(starter.process, arguments, None)

    def _begun(self, name: str, arguments: tuple[Any, ...], message: tuple[str, tuple[Any, ...]] | None) -> int:
        """A process at its first request."""
        process = Process(name, arguments, (), NOTHING, message)
        after = self._replay(process)
        return self.number(after if isinstance(after, Process) else process)

    def _may_act(self, store: Store, action: Action) -> bool:
        return not self.get(store, f"did {action.name}") and (
            not action.after or self.get(store, f"did {action.after}")
        )

    def _act(self, store: Store, messages: tuple[int, ...], action: Action) -> tuple[Store, tuple[int, ...]]:
        store = self.set(store, f"did {action.name}", True)
        for key, value in action.sets:
            store = self.set(store, key, value)
        for queue, message in action.sends:
            messages = self._more(messages, queue, message)
        return store, messages

    def _say(self, label: Label) -> str:
        before, number, after = label
        if not number:
            return before
        process, operation = self.things[number], self._operation(number)
        request = operation if isinstance(operation, str) else f"{operation[0]} {operation[1]} {operation[2] or ''}"
        return f"{before}{process.name}{process.arguments}: {request}{after}"

    def _trace(self, parents: dict[State, State | None], state: State) -> tuple[str, ...]:
        trail: list[str] = []
        parent = parents[state]
        while parent is not None:
            trail.append(next(self._say(label) for label, new in self.steps(parent) if new == state))
            state, parent = parent, parents[parent]
        return tuple(reversed(trail))

    # What becomes of a state when nothing else goes wrong

    def settle(self, store: Store, messages: tuple[int, ...], *, table_stays_away: bool = False) -> str | None:
        """Run messages, sweeps and reconcile one after another, without faults; what is wrong then, if anything."""
        key = (store, messages)
        if key not in self._settled:
            self._settled[key] = self._settle(store, messages, table_stays_away)
        return self._settled[key]

    def _settle(self, store: Store, messages: tuple[int, ...], table_stays_away: bool) -> str | None:
        peace = (0,) * len(self.budgets)
        state: State = (store, messages, (), peace)
        if table_stays_away:
            return self.scenario.uncopied(self.view(self._drain(state, rounds=2)[0]))
        fault = None
        for time in range(6):
            if time:
                state = self._sweep(state, f"quiet {time}")
            state = self._drain(state)
            fault = "messages are left" if not self.is_quiet(state[1]) else self.scenario.lost(self.view(state[0]))
            if fault is None:
                return None
            for action in self.scenario.actions:
                if action.eventually and self._may_act(state[0], action):
                    changed, sent = self._act(state[0], state[1], action)
                    state = (changed, sent, (), peace)
        return f"{fault}; and sweeps do not change it"

    def _sweep(self, state: State, ident: str) -> State:
        for number in state[1]:
            queue, message = self.things[number]
            if queue == "poison":
                state = self._finish(state, self._begun("sweep_poison", message, None))
        for starter in self.scenario.starters:
            if starter.repairs and self._may_start(starter, state[0]):
                state = self._finish(state, self._started(starter, f"{ident} {starter.process}"))
        return state

    def _drain(self, state: State, rounds: int = 8) -> State:
        for _ in range(rounds):
            waiting = [n for n in state[1] if self.things[n][0] in self.scenario.queues]
            for number in waiting:
                queue, message = self.things[number]
                store, messages, running, budget = state
                process = self._begun(HANDLERS[queue], message, (queue, message))
                state = self._finish((store, self._less(messages, number), running, budget), process)
            if not waiting:
                break
        return state

    def _finish(self, state: State, number: int) -> State:
        _, state = next(self._run(state, number))
        while state[2]:
            store, messages, running, budget = state
            _, state = next(self._run((store, messages, (), budget), running[0]))
        return state
