#include "data/prompts/template.h"

#include <gtest/gtest.h>

#include <map>

#include "data/prompts/template_rendering.h"
#include "data/store/dataset_samples.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"

namespace allreco::data {

namespace {

std::string prompt_of(const PromptTemplate& t, std::vector<std::string_view> history,
                      std::vector<std::string_view> options) {
  return render_prompt(t, render_history(t, history, options));
}

}  // namespace

TEST(TemplateTest, ShippedTemplatesSayWhatTheyAreFor) {
  EXPECT_EQ(shipped_template_names(),
            (std::vector<std::string>{"alpaca", "amazon-next-item", "amazon-next-item-open", "chatml", "gemma",
                                      "llama3", "mistral", "mistral-nemo", "plain", "study"}));
  for (const std::string& name : shipped_template_names()) {
    const PromptTemplate t = load_template(name);
    EXPECT_EQ(t.name, name);
    EXPECT_EQ(t.takes_history(), name != "alpaca" && name != "plain");
    const bool is_chat = !t.control_tokens.empty();
    EXPECT_EQ(t.shows_options(), name == "amazon-next-item" || name == "study" || is_chat);
    EXPECT_EQ(render_output(t, "A {output} title"), name == "mistral" ? " A {output} title" : "A {output} title");
    EXPECT_EQ(t.answer_end.empty(), !is_chat);
  }
}

// The published study's own prompt (first row of its data) inside its own training template.
TEST(TemplateTest, StudyHasThePublishedWording) {
  const std::string question =
      "Reviewer has bought Liquid Hand, Band Aid Brand Sheer Adhesive for First Aid and Wound All One, Burt Bees "
      "Coconut Foot Cream "
      "Ounce Tube, King Flour Unbleached Bread Pound May Vary. Considering their purchase history, which product will "
      "they buy next "
      "from the below options?  A) Nature Made Multi Vitamin and Mineral for Him, 90 Count, B) Traders Choice Ground "
      "Black Pepper, "
      "C) Original Ounce, D) Spray 'n Wash Pre-Treat Laundry Stain Remover, 22 fl oz.";
  const std::string expected =
      "Below is an instruction that describes a user's interaction history with products on Amazon. Write a response "
      "that "
      "appropriately completes the request.\n\n### Instruction:\n" +
      question + "\n\n### Response:\n";
  const PromptTemplate study = load_template("study");
  EXPECT_EQ(prompt_of(study,
                      {"Liquid Hand", "Band Aid Brand Sheer Adhesive for First Aid and Wound All One",
                       "Burt Bees Coconut Foot Cream Ounce Tube", "King Flour Unbleached Bread Pound May Vary"},
                      {"Nature Made Multi Vitamin and Mineral for Him, 90 Count", "Traders Choice Ground Black Pepper",
                       "Original Ounce", "Spray 'n Wash Pre-Treat Laundry Stain Remover, 22 fl oz"}),
            expected);
  EXPECT_EQ(render_prompt(study, {question, "", ""}), expected);
}

TEST(TemplateTest, AnEmptyHistoryLeavesNoLine) {
  const std::vector<std::string_view> options = {"Cup", "Hat"};
  const std::string choice = "A shopper bought these items, oldest first. Which option will they buy next?";
  const std::string choose = choice + "\n\nBought:\nOptions:\nA) Cup\nB) Hat";
  const std::map<std::string, std::string> expected{
      {"amazon-next-item",
       "### Instruction:\n" + choice + "\n\n### Input:\nBought:\nOptions:\nA) Cup\nB) Hat\n\n### Response:\n"},
      {"amazon-next-item-open",
       "### Instruction:\nA shopper bought these items, oldest first. Which item will they buy next?\n\n### "
       "Input:\nBought:\n\n### Response:\n"},
      {"chatml", "<|im_start|>user\n" + choose + "<|im_end|>\n<|im_start|>assistant\n"},
      {"gemma", "<start_of_turn>user\n" + choose + "<end_of_turn>\n<start_of_turn>model\n"},
      {"llama3", "<|start_header_id|>user<|end_header_id|>\n\n" + choose +
                     "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"},
      {"mistral", "[INST] " + choose + "[/INST]"},
      {"mistral-nemo", "[INST]" + choose + "[/INST]"},
      {"study",  // a sentence, in which nothing stands where the titles were
       "Below is an instruction that describes a user's interaction history with products on Amazon. Write a response "
       "that appropriately completes the request.\n\n### Instruction:\nReviewer has bought . Considering their "
       "purchase "
       "history, which product will they buy next from the below options?  A) Cup, B) Hat.\n\n### Response:\n"}};
  for (const std::string& name : shipped_template_names()) {
    const PromptTemplate t = load_template(name);
    if (!t.takes_history()) continue;
    EXPECT_EQ(prompt_of(t, {}, options), expected.at(name)) << name;
  }
  PromptTemplate t = load_template("amazon-next-item");
  t.input = "{history}\n\n{options}\n {history}\n{history}";
  EXPECT_EQ(render_history(t, std::vector<std::string_view>{}, options).input, "\nA) Cup\nB) Hat\n ");
  t.input = "{history}";
  EXPECT_EQ(prompt_of(t, {}, options), "### Instruction:\n" + choice + "\n\n### Response:\n") << "there is no input";
}

TEST(TemplateTest, AlpacaAndPlainTakeReadyPrompts) {
  const PromptTemplate alpaca = load_template("alpaca");
  EXPECT_EQ(
      render_prompt(alpaca, {"Do it.", "With {this}", ""}),
      "Below is an instruction that describes a task, paired with an input that provides further context. Write a "
      "response that "
      "appropriately completes the request.\n\n### Instruction:\nDo it.\n\n### Input:\nWith {this}\n\n### Response:\n");
  EXPECT_EQ(
      render_prompt(alpaca, {"Do it.", "", ""}),
      "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
      "### Instruction:\nDo it.\n\n### Response:\n");
  const PromptTemplate plain = load_template("plain");
  EXPECT_EQ(render_prompt(plain, {"  prompt ", "", ""}), "  prompt ");
  EXPECT_EQ(render_prompt(plain, {"prompt", "input", ""}), "prompt\ninput");
}

TEST(TemplateTest, BracesInTitlesAreText) {
  const PromptTemplate t = load_template("amazon-next-item");
  const std::string prompt = prompt_of(t, {"{options}", "{title} {"}, {"{history}", "b"});
  EXPECT_TRUE(contains(prompt, "Bought:\n- {options}\n- {title} {\nOptions:\nA) {history}\nB) b\n")) << prompt;
}

TEST(TemplateTest, AFileWithAMistakeIsRefusedByName) {
  support::TemporaryDirectory scratch;
  const auto path = scratch.path() / "mine.json";
  const core::Json good = to_json(load_template("amazon-next-item"));
  const auto error_with = [&](const char* key, const core::Json& value) {
    core::Json changed = good;
    if (value.is_null()) {
      changed.erase(key);
    } else {
      changed[key] = value;
    }
    overwrite(path, changed.dump());
    return support::message_of([&] { load_template(path.string()); });
  };
  overwrite(path, good.dump());
  EXPECT_EQ(to_json(load_template(path.string())), good);
  EXPECT_TRUE(contains(error_with("prompt", nullptr), "\"prompt\" is missing"));
  EXPECT_TRUE(contains(error_with("promt", "x"), "unknown field \"promt\""));
  EXPECT_TRUE(contains(error_with("input", "{histroy}"), "unknown part {histroy}; it may hold {history} {options}"));
  EXPECT_TRUE(contains(error_with("prompt", "{instruction}"), "must hold {instruction} and {input}"));
  EXPECT_TRUE(contains(error_with("output", "x"), "must hold {output}"));
  EXPECT_TRUE(contains(error_with("option_labels", "roman"), "letters or numbers"));
  EXPECT_TRUE(contains(error_with("history_item", 3), "must be a text"));
  EXPECT_TRUE(contains(error_with("input", "nothing"), "must hold {history}"));
  EXPECT_TRUE(contains(support::message_of([] { load_template("alpacca"); }), "not one of alpaca amazon-next-item"));
  EXPECT_TRUE(
      contains(support::message_of([&] { load_template((scratch.path() / "none.json").string()); }), "none.json"));
}

// Titles stand in history items, those in {history}, that in {instruction}: repeated parts multiply.
TEST(TemplateTest, ASmallFileCannotAskForAnyAmountOfMemory) {
  support::TemporaryDirectory scratch;
  const auto path = scratch.path() / "mine.json";
  const auto loaded = [&](const char* key, const core::Json& value) {
    core::Json changed = to_json(load_template("amazon-next-item"));
    changed[key] = value;
    overwrite(path, changed.dump());
    return support::message_of([&] { load_template(path.string()); });
  };
  const auto times = [](int count, const std::string& part) {
    std::string text;
    for (int i = 0; i < count; ++i) text += part;
    return text;
  };
  const std::string kLoads;  // no message
  EXPECT_EQ(loaded("history_item", times(4, "{title}")), kLoads);
  EXPECT_TRUE(contains(loaded("history_item", times(5, "{title}")), "holds the part {title} more than 4 times"));
  EXPECT_TRUE(contains(loaded("prompt", times(5, "{instruction}{input}")), "more than 4 times"));
  EXPECT_TRUE(contains(loaded("output", times(100'000, "{output}")), "more than 4 times"));
  EXPECT_EQ(loaded("description", times(100, "{title}")), kLoads) << "text, not parts";
  EXPECT_EQ(loaded("control_tokens", std::vector<std::string>(1024, "x")), kLoads);
  EXPECT_TRUE(contains(loaded("control_tokens", std::vector<std::string>(1025, "x")), "at most 1024"));
  EXPECT_TRUE(contains(loaded("history_separator", std::string(1 << 20, ',')), "at most 1048576 are read"));
}

TEST(TemplateTest, NumbersLabelAnyNumberOfOptions) {
  PromptTemplate t = load_template("amazon-next-item");
  const std::vector<std::string_view> titles(30, "x");
  EXPECT_THROW(prompt_of(t, {"h"}, titles), core::Fault);
  t.option_labels = "numbers";
  EXPECT_TRUE(contains(prompt_of(t, {"h"}, titles), "\n30) x"));
}

namespace {

core::Json detailed_template() {
  return {{"name", "t"},
          {"instruction", {"Pick one.", "Which of these?"}},
          {"input", "{history}|{options}"},
          {"history_item", "{title} by {brand} ({category}, {price_band})"},
          {"option_item", "{label}: {title}/{price_band}"},
          {"missing", "n/a"},
          {"prompt", "{instruction}#{input}"},
          {"prompt_without_input", "{instruction}"},
          {"output", "{output}"}};
}

}  // namespace

TEST(TemplateTest, ShowsBrandCategoryAndPriceBand) {
  const core::Json json = detailed_template();
  const PromptTemplate t = template_of(json, "t");
  EXPECT_TRUE(t.shows_details());
  EXPECT_EQ(to_json(t)["instruction"], json["instruction"]);
  EXPECT_EQ(to_json(template_of(to_json(t), "again")), to_json(t));
  const std::vector<ItemText> history{{"Tea {brand}", "Shop", "Teas", "12.99"}, {"Milk", "", "", ""}};
  const std::vector<ItemText> options{{"Oats", "", "", "9.99"}, {"Rye", "", "", "1000.00"}};
  const std::string input =
      "Tea {brand} by Shop (Teas, 10 to 25), Milk by n/a (n/a, n/a)|A: Oats/below 10, B: Rye/1000 or more";
  EXPECT_EQ(render_prompt(t, render_history(t, history, options)), "Pick one.#" + input);
  EXPECT_EQ(render_prompt(t, render_history(t, history, options, 1)), "Which of these?#" + input);
  EXPECT_FALSE(load_template("amazon-next-item").shows_details());
}

TEST(TemplateTest, PriceBandsHaveNoGaps) {
  const std::vector<std::pair<const char*, const char*>> cases{{"0.01", "below 10"},
                                                               {"9.99", "below 10"},
                                                               {"10.00", "10 to 25"},
                                                               {"24.99", "10 to 25"},
                                                               {"25.00", "25 to 50"},
                                                               {"50.00", "50 to 100"},
                                                               {"99.99", "50 to 100"},
                                                               {"100.00", "100 to 250"},
                                                               {"499.99", "250 to 500"},
                                                               {"999.99", "500 to 1000"},
                                                               {"1000.00", "1000 or more"},
                                                               {"", ""},
                                                               {"x", ""},
                                                               {"9.99 ", ""}};
  for (const auto& [price, band] : cases) EXPECT_EQ(price_band(price), band) << price;
}

TEST(TemplateTest, RefusesPhrasingsAndAnswersThatDoNotFit) {
  const auto refusal = [](const char* key, const core::Json& value) {
    core::Json json = detailed_template();
    json["instruction"] = "Pick one.";
    json[key] = value;
    return support::message_of([&] { template_of(json, "t"); });
  };
  EXPECT_EQ(refusal("answer", "label"), "");
  EXPECT_TRUE(contains(refusal("answer", "letter"), "title or label"));
  EXPECT_TRUE(contains(refusal("instruction", core::Json::array()), "list of 1 to 64"));
  EXPECT_TRUE(contains(refusal("instruction", {"a", 1}), "list of 1 to 64"));
  EXPECT_TRUE(contains(refusal("instruction", {"a", "b {history}"}), "each phrasing"));
  EXPECT_TRUE(contains(refusal("instruction", {"a", "b {title}"}), "unknown part {title}"));
  EXPECT_TRUE(contains(refusal("history_item", "{title} {label}"), "unknown part {label}"));
  core::Json open = detailed_template();
  open["instruction"] = "Pick one.";
  open["input"] = "{history}";
  open["answer"] = "label";
  EXPECT_TRUE(contains(support::message_of([&] { template_of(open, "t"); }), "only where {options} are shown"));
}

}  // namespace allreco::data
